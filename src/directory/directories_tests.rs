//! Logins against real users files.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use md5::{Digest, Md5};

use super::super::decoys::{Argon2id, Cost};
use super::super::{Role, UsersFile, hash};
use super::*;
use crate::config::{Located, Login, Place, RoleNumbering, Throttle};

fn a1(text: &str) -> String {
    let digest: [u8; 16] = Md5::digest(text.as_bytes()).into();
    format!("a1:{:032x}", u128::from_be_bytes(digest))
}

fn user(name: &str, hash: &str) -> String {
    format!("[[users]]\nname = \"{name}\"\npassword = \"{hash}\" # kept\n")
}

fn login(hide: bool) -> Login {
    Login {
        hide_unknown_users: hide,
        role_numbering: RoleNumbering::Contract,
        concurrency: NonZeroUsize::MIN,
        queue: 16,
        queue_timeout: Duration::from_secs(60),
        throttle: Throttle { per_user: NonZeroU32::MIN, per_network: NonZeroU32::MIN, window: Duration::ZERO },
    }
}

struct Fixture {
    folder: tempfile::TempDir,
    directories: Directories,
}

impl Fixture {
    fn new(files: &[String], hide: bool, rehash: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = |(number, text): (usize, &String)| {
            let path = folder.path().join(format!("{number}.toml"));
            std::fs::write(&path, text).unwrap();
            at(path, rehash)
        };
        let files: Vec<_> = files.iter().enumerate().map(directory).collect();
        let mut problems = Problems::default();
        let directories = Directories::load(&files, &login(hide), None, &mut problems);
        assert!(problems.is_empty(), "{problems}");
        Self { directories: directories.unwrap(), folder }
    }

    async fn verify(&self, name: &str, password: &str) -> Result<String, Refused> {
        self.directories.verify(name, Password::new(password.into())).await.map(|principal| principal.name)
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("0.toml")
    }

    /// What runs after an answer has run once another check has.
    async fn settle(&self) {
        let _ = self.directories.check_nobody(Password::new("x".into())).await;
    }

    /// Waits until nothing is being rewritten.
    async fn idle(&self) {
        self.settle().await;
        while self.directories.directories.iter().any(|users| users.is_rewriting()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until the user's hash is argon2id; logs in again, for only one hash is rewritten at a time.
    async fn rewritten(&self, name: &str) {
        let is_new =
            |user: super::super::Listed| canonical(&user.name).as_deref() == Some(name) && user.hash == "argon2id";
        while !UsersFile::at(&self.path()).list().unwrap().into_iter().any(is_new) {
            self.idle().await;
            assert!(self.verify(name, "secret").await.is_ok());
        }
        self.idle().await;
    }
}

fn at(path: PathBuf, rehash: bool) -> config::Directory {
    let place = Place::whole(Path::new("gatewarden.toml"));
    config::Directory { path: Located { value: path, place }, rehash }
}

fn users() -> String {
    let bcrypt = bcrypt::hash("secret", 4).unwrap();
    let stored = user("100@MyDomain.com", &a1("100:MyDomain.com:secret"));
    stored + &user("b@x.com", &bcrypt) + &user("root", &hash::StoredHash::create(&Password::new("secret".into())))
}

#[tokio::test]
async fn the_right_password_gives_the_canonical_principal() {
    let fixture = Fixture::new(&[users()], false, false);
    for (sent, name) in [("100@mydomain.com.", "100@mydomain.com"), ("B@X.com", "b@x.com"), ("ROOT", "root")] {
        assert_eq!(fixture.verify(sent, "secret").await.as_deref(), Ok(name));
        for wrong in ["Secret", "secret ", "", &"s".repeat(1025), &"s".repeat(73)] {
            assert_eq!(fixture.verify(sent, wrong).await, Err(Refused::WrongPassword), "{sent} {wrong}");
        }
    }
}

#[tokio::test]
async fn an_unknown_user_is_told_so_before_the_password_is_looked_at() {
    let fixture = Fixture::new(&[users()], false, false);
    for unknown in ["nobody", "100@other.com", " ", "a b", "@", &"n".repeat(2000)] {
        for password in ["secret", ""] {
            assert_eq!(fixture.verify(unknown, password).await, Err(Refused::UnknownUser), "{unknown}");
        }
    }
    assert_eq!(fixture.verify("", "secret").await, Err(Refused::NameRequired));
}

#[test]
fn where_users_are_hidden_every_check_costs_all_kinds_of_hashes_that_there_are() {
    let weak = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let bcrypt = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    let a1 = "a1:7129f01c6a40d81aca9d10d8e3f1bd8c";
    let older = &weak.replace("v=19", "v=16");
    let hashes = [weak, bcrypt, a1, bcrypt, older].into_iter().enumerate();
    let file: String =
        hashes.map(|(number, hash)| format!("[[users]]\nname = 'user-{number}'\npassword = '{hash}'\n")).collect();
    let hidden = Fixture::new(&[file.clone(), users()], true, false).directories;
    let argon2id = |version, memory, passes| Cost::Argon2id(Argon2id { version, memory, passes, lanes: 1 });
    let all = [Cost::A1, Cost::Bcrypt(4), Cost::Bcrypt(5), argon2id(16, 8, 1), argon2id(19, 8, 1), Cost::NEW];
    assert!(hidden.decoys.costs().eq(all), "{:?}", hidden.decoys.costs().collect::<Vec<_>>());
    assert!(hidden.reread(&mut Problems::default()).decoys.costs().eq(all));
    assert_eq!(Fixture::new(&[file, users()], false, false).directories.decoys.costs().count(), 0);
}

#[tokio::test]
async fn hidden_users_are_all_refused_alike_and_at_the_same_cost() {
    let fixture = Fixture::new(&[users()], true, false);
    let start = Instant::now();
    assert!(!Decoys::of(std::iter::empty()).verify(None, &Password::new("secret".into())));
    let least = start.elapsed() / 4;
    let long = "s".repeat(2000);
    for (name, password) in [
        ("nobody", "secret"),
        ("nobody", ""),
        ("a b", "x"),
        ("100@mydomain.com", "wrong"),
        ("100@mydomain.com", ""),
        ("root", ""),
        ("root", &long),
        ("root", "wrong"),
        ("b@x.com", &long),
    ] {
        let start = Instant::now();
        assert_eq!(fixture.verify(name, password).await, Err(Refused::WrongPassword));
        assert!(start.elapsed() > least, "{name} was refused too fast");
    }
    assert_eq!(fixture.verify("", "secret").await, Err(Refused::NameRequired));
    assert_eq!(fixture.verify("100@mydomain.com", "secret").await.as_deref(), Ok("100@mydomain.com"));
}

#[tokio::test]
async fn the_first_directory_that_knows_the_user_decides() {
    let files = [user("a", &a1("a:first")), user("A", &a1("A:second")) + &user("b", &a1("b:b"))];
    let fixture = Fixture::new(&files, false, false);
    assert_eq!(fixture.verify("a", "first").await.as_deref(), Ok("a"));
    assert_eq!(fixture.verify("a", "second").await, Err(Refused::WrongPassword));
    assert_eq!(fixture.verify("b", "b").await.as_deref(), Ok("b"));
}

#[tokio::test]
async fn a_good_login_makes_old_hashes_argon2id_and_keeps_the_rest() {
    let fixture = Fixture::new(&[users()], false, true);
    let before = fixture.text();
    assert!(fixture.verify("b@x.com", "wrong").await.is_err());
    fixture.settle().await;
    assert_eq!(fixture.text(), before, "a wrong password improves nothing");
    for name in ["b@x.com", "100@mydomain.com", "root"] {
        assert!(fixture.verify(name, "secret").await.is_ok());
        fixture.rewritten(name).await;
    }
    let later = fixture.directories.reread(&mut Problems::default());
    assert_eq!(fixture.directories.ousted_by(&later).next(), None, "nobody's password is another one");
    for name in ["b@x.com", "100@mydomain.com", "root"] {
        let verify = async |password: &str| later.verify(name, Password::new(password.into())).await.map(|_| ());
        assert_eq!((verify("secret").await, verify("wrong").await), (Ok(()), Err(Refused::WrongPassword)));
    }
    assert_eq!(fixture.text().matches(" # kept\n").count(), 3);
    assert!(fixture.text().contains("100@MyDomain.com"));
}

#[tokio::test]
async fn a_password_changed_meanwhile_is_not_undone() {
    let fixture = Fixture::new(&[user("a", &a1("a:old"))], false, true);
    UsersFile::at(&fixture.path()).set_password("a", &Password::new("new".into())).unwrap();
    let changed = fixture.text();
    assert!(fixture.verify("a", "old").await.is_ok(), "not read again yet");
    fixture.idle().await;
    assert_eq!(fixture.text(), changed);
    let later = fixture.directories.reread(&mut Problems::default());
    assert!(fixture.directories.ousted_by(&later).eq(["a"]));
}

#[tokio::test]
async fn a_login_does_not_wait_while_somebody_else_changes_the_file() {
    let fixture = Fixture::new(&[user("a", &a1("a:secret"))], false, true);
    let folder = std::fs::File::open(fixture.folder.path()).unwrap();
    folder.lock().unwrap();
    assert!(fixture.verify("a", "secret").await.is_ok());
    fixture.idle().await;
    assert!(fixture.text().contains("a1:"), "left to a later login");
    folder.unlock().unwrap();
    assert!(fixture.verify("a", "secret").await.is_ok());
    fixture.rewritten("a").await;
}

#[test]
fn who_is_gone_or_has_another_role_or_password_is_out_and_nobody_else() {
    let text = |role: &str, hash: &str| format!("{}role = \"{role}\"\n", user("a", &a1(hash))) + &user("b", &a1("b:b"));
    let fixture =
        Fixture::new(&[text("user", "a:a"), user("b", &a1("b:other")) + &user("c", &a1("c:c"))], false, false);
    let after = |first: &str, second: &str| {
        std::fs::write(fixture.path(), first).unwrap();
        std::fs::write(fixture.folder.path().join("1.toml"), second).unwrap();
        let mut problems = Problems::default();
        let later = fixture.directories.reread(&mut problems);
        let mut ousted: Vec<_> = fixture.directories.ousted_by(&later).map(str::to_owned).collect();
        ousted.sort_unstable();
        ousted.dedup();
        (ousted.join(" "), problems.iter().count())
    };
    let second = user("b", &a1("b:other")) + &user("c", &a1("c:c"));
    assert_eq!(after(&format!("# new\n{}", text("user", "a:a")), &second), (String::new(), 0));
    assert_eq!(after(&text("admin", "a:a"), &second), ("a".into(), 0), "another role");
    assert_eq!(after(&text("user", "a:A"), &second), ("a".into(), 0), "another password");
    assert_eq!(after(&text("user", "a:a"), &user("B", &a1("B:x"))), ("c".into(), 0), "the first that knows b decides");
    assert_eq!(after(&user("a", &a1("a:a")), &second), ("b".into(), 0), "the second decides about b now");
    assert_eq!(
        after("x", &user("c", &a1("c:C"))),
        ("c".into(), 1),
        "a broken file stays as it was, the other one changes"
    );
    assert_eq!(after("", ""), ("a b c".into(), 0));
}

#[tokio::test]
async fn where_rehash_is_off_nothing_is_written() {
    let fixture = Fixture::new(&[users()], false, false);
    let before = fixture.text();
    assert!(fixture.verify("b@x.com", "secret").await.is_ok());
    fixture.idle().await;
    assert_eq!(fixture.text(), before);
}

#[tokio::test]
async fn a_file_that_is_gone_costs_no_login() {
    let fixture = Fixture::new(&[users()], false, true);
    std::fs::remove_dir_all(fixture.folder.path()).unwrap();
    for _ in 0..2 {
        assert!(fixture.verify("b@x.com", "secret").await.is_ok());
        fixture.idle().await;
    }
}

#[test]
fn every_problem_of_every_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.toml");
    std::fs::write(&bad, "[[users]]\nname = \"a\"\npassword = \"planted\"\nx = 1\n").unwrap();
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    let files = [at(bad, false), at(folder.path().join("missing.toml"), false), at(binary, false)];
    let mut problems = Problems::default();
    assert!(Directories::load(&files, &login(false), None, &mut problems).is_none());
    let all = problems.to_string();
    assert_eq!(problems.iter().count(), 4, "{all}");
    assert!(all.contains("bad.toml:3:") && all.contains("bad.toml:4:") && all.contains("missing.toml"));
    assert!(!all.contains("planted"));
}

#[tokio::test]
async fn an_empty_directory_loads_and_knows_nobody() {
    let fixture = Fixture::new(&[String::new()], false, false);
    assert_eq!(fixture.verify("a", "x").await, Err(Refused::UnknownUser));
    assert_eq!(Role::User.name(), "user");
}
