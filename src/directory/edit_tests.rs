//! What a change to a users file changes, and what it leaves alone.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

use super::*;

const FILE: &str = r#"# Who may log in.

# The switchboard.
[[users]]
name = "100@MyDomain.com" # extension
password = "a1:0123456789abcdef0123456789abcdef"   # from the engine
role = "admin"
attributes = { z = 1, a = 2 } # order matters

# The boss.
[[users]]
name = "root"
password = "a1:0123456789abcdef0123456789abcdef"
"#;

struct Fixture {
    folder: tempfile::TempDir,
    users: UsersFile,
}

impl Fixture {
    fn new(text: &str) -> Self {
        let fixture = Self::missing();
        fs::write(&fixture.users.path, text).unwrap();
        fixture
    }

    fn missing() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let users = UsersFile::at(&folder.path().join("users.toml"));
        Self { folder, users }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.users.path).unwrap()
    }

    fn mode(&self) -> u32 {
        fs::metadata(&self.users.path).unwrap().permissions().mode() & 0o777
    }

    /// The file with each hash replaced by `#`.
    fn text_without_hashes(&self) -> String {
        let mut text = self.text();
        for user in self.text().split("password = \"").skip(1) {
            text = text.replace(user.split('"').next().unwrap(), "#");
        }
        text
    }
}

fn password() -> Password {
    Password::new("secret".into())
}

fn names(users: &UsersFile) -> Vec<String> {
    users.list().unwrap().into_iter().map(|user| user.name).collect()
}

#[test]
fn a_new_password_changes_nothing_but_the_hash() {
    let fixture = Fixture::new(FILE);
    fs::set_permissions(&fixture.users.path, fs::Permissions::from_mode(0o640)).unwrap();
    fixture.users.set_password("100@mydomain.com", &password()).unwrap();
    let expected = FILE.replacen("a1:0123456789abcdef0123456789abcdef", "#", 2);
    assert_eq!(fixture.text_without_hashes(), expected);
    assert!(fixture.text().contains("password = \"$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_eq!(fixture.mode(), 0o640);
    assert_eq!(fs::read_dir(fixture.folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_user_is_added_at_the_end_and_only_once() {
    let fixture = Fixture::new(FILE);
    fixture.users.add("200@mydomain.com", &Role::User, &password()).unwrap();
    assert!(fixture.text().starts_with(FILE));
    let added = fixture.users.list().unwrap().pop().unwrap();
    assert_eq!(added, Listed { name: "200@mydomain.com".into(), role: "user".into(), hash: "argon2id" });
    for spelling in ["200@mydomain.com", "200@MYDOMAIN.com.", "ROOT", "100@mydomain.com"] {
        let again = fixture.users.add(spelling, &Role::User, &password());
        assert!(matches!(again, Err(EditError::Exists)), "{spelling}");
    }
    assert!(matches!(fixture.users.add("a b", &Role::User, &password()), Err(EditError::BadName)));
}

#[test]
fn a_missing_file_is_created_for_its_owner_only() {
    let fixture = Fixture::missing();
    fixture.users.add("a", &Role::Root, &password()).unwrap();
    assert_eq!(fixture.mode(), 0o600);
    assert!(fixture.text().starts_with("[[users]]\nname = \"a\"\npassword = \"$argon2id$"));
    assert!(fixture.text().ends_with("role = \"root\"\n"));
}

#[test]
fn a_missing_file_is_told_from_a_missing_user_and_not_created() {
    let fixture = Fixture::missing();
    let is_missing = |error: &EditError| matches!(error, EditError::Io(error) if error.kind() == ErrorKind::NotFound);
    assert!(is_missing(&fixture.users.set_password("a", &password()).unwrap_err()));
    assert!(is_missing(&fixture.users.remove("a").unwrap_err()));
    assert!(!fixture.users.path.exists());
}

#[test]
fn a_user_is_removed_with_its_comment_and_nobody_else_is() {
    let fixture = Fixture::new(FILE);
    fixture.users.remove("ROOT").unwrap();
    assert_eq!(names(&fixture.users), ["100@MyDomain.com"]);
    assert!(fixture.text().starts_with(FILE.split("\n# The boss").next().unwrap()));
    assert!(matches!(fixture.users.remove("root"), Err(EditError::Unknown)));
}

#[test]
fn a_user_is_added_below_what_the_file_ends_with_and_removed_without_it() {
    let header = "# Who may log in.\n#\n# [[users]]";
    let fixture = Fixture::new(header);
    fixture.users.add("a", &Role::User, &password()).unwrap();
    let first = fixture.text();
    assert!(first.starts_with(&format!("{header}\n\n[[users]]\nname = \"a\"\n")), "{first}");
    fs::write(&fixture.users.path, format!("{first}\n# The end.\n")).unwrap();
    fixture.users.add("b", &Role::User, &password()).unwrap();
    assert!(fixture.text().contains("\n# The end.\n\n[[users]]\nname = \"b\"\n"));
    fixture.users.remove("a").unwrap();
    fixture.users.remove("b").unwrap();
    let left = fixture.text();
    assert!(left.starts_with(header) && left.contains("# The end.") && !left.contains("name ="), "{left}");
}

#[test]
fn an_import_adds_everybody_or_nobody() {
    let fixture = Fixture::new(FILE);
    let import = |text: &str, problems: &mut Problems| {
        let path = Path::new("in.csv");
        let import = crate::directory::Import { path, format: None, role: Role::User, domain: None };
        let newcomers = import.read(text.as_bytes(), problems);
        fixture.users.import(newcomers, problems)
    };
    let mut problems = Problems::default();
    let hash = "a1:0123456789abcdef0123456789abcdef";
    let refused = import(&format!("name,password\nnew,{hash}\nROOT,{hash}\n100@mydomain.com,{hash}\n"), &mut problems);
    assert!(matches!(refused, Err(EditError::Exists)));
    let told: Vec<String> = problems.iter().map(|problem| problem.place.to_string()).collect();
    assert_eq!((told, fixture.text()), (vec!["in.csv:3".to_owned(), "in.csv:4".to_owned()], FILE.to_owned()));

    let mut problems = Problems::default();
    assert!(import(&format!("name,password\nnew,$6$x\nroot,{hash}\n"), &mut problems).is_err());
    let told: Vec<String> = problems.iter().map(|problem| problem.place.to_string()).collect();
    assert_eq!((told, fixture.text()), (vec!["in.csv:2".to_owned(), "in.csv:3".to_owned()], FILE.to_owned()));

    let text = format!("name,password,role\nnew,{hash},admin\nplain,secret,\n");
    assert_eq!(import(&text, &mut Problems::default()).unwrap(), 2);
    let kinds: Vec<_> = fixture.users.list().unwrap().into_iter().skip(2).map(|user| (user.role, user.hash)).collect();
    assert_eq!(kinds, [("admin".to_owned(), "a1"), ("user".to_owned(), "argon2id")]);
    assert!(fixture.text().starts_with(FILE));
}

#[test]
fn a_file_that_everybody_can_read_is_said_and_keeps_its_mode() {
    let fixture = Fixture::new(FILE);
    for (mode, exposed) in [(0o644, Some(0o644)), (0o640, None), (0o600, None)] {
        fs::set_permissions(&fixture.users.path, fs::Permissions::from_mode(mode)).unwrap();
        fixture.users.set_password("root", &password()).unwrap();
        assert_eq!((fixture.mode(), fixture.users.exposed()), (mode, exposed));
    }
}

#[test]
fn an_inline_list_is_changed_as_well() {
    let fixture = Fixture::new("users = [\n  { name = \"a\", password = \"x\" }, # first\n]\n");
    fixture.users.add("b", &Role::User, &password()).unwrap();
    fixture.users.set_password("a", &password()).unwrap();
    fixture.users.remove("b").unwrap();
    assert_eq!(names(&fixture.users), ["a"]);
    assert_eq!(fixture.users.list().unwrap()[0].hash, "argon2id");
}

#[test]
fn a_user_without_a_password_gets_one() {
    let fixture = Fixture::new("[[users]]\nname = \"a\"\n");
    fixture.users.set_password("a", &password()).unwrap();
    assert_eq!(fixture.users.list().unwrap()[0].hash, "argon2id");
}

#[test]
fn a_file_that_is_not_understood_is_left_alone() {
    for text in ["[[users]]\nname = \n", "users = 1\n", "[users]\nname = \"a\"\n"] {
        let fixture = Fixture::new(text);
        assert!(fixture.users.add("b", &Role::User, &password()).is_err(), "{text}");
        assert!(fixture.users.list().is_err(), "{text}");
        assert_eq!(fixture.text(), text);
    }
}

#[test]
fn a_rehash_never_undoes_a_new_password() {
    let fixture = Fixture::new(FILE);
    let old = "a1:0123456789abcdef0123456789abcdef";
    assert!(fixture.users.rehash("root", old, "$argon2id$new").unwrap());
    assert!(!fixture.users.rehash("root", old, "$argon2id$other").unwrap());
    assert!(!fixture.users.rehash("nobody", old, "$argon2id$other").unwrap());
    assert!(fixture.text().contains("\"$argon2id$new\"") && !fixture.text().contains("other"));
}

#[test]
fn changes_at_once_are_all_kept() {
    let fixture = Fixture::missing();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let path = fixture.users.path.clone();
            scope.spawn(move || UsersFile::at(&path).add(&format!("user{number}"), &Role::User, &password()).unwrap());
        }
    });
    let mut all = names(&fixture.users);
    all.sort_unstable();
    assert_eq!(all, ["user0", "user1", "user2", "user3"]);
}

#[test]
fn a_linked_file_is_changed_where_it_is() {
    let fixture = Fixture::new(FILE);
    let link = fixture.folder.path().join("link.toml");
    std::os::unix::fs::symlink(&fixture.users.path, &link).unwrap();
    UsersFile::at(&link).remove("root").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(names(&fixture.users), ["100@MyDomain.com"]);
}

#[test]
fn a_broken_file_is_told_with_its_lines_and_reasons_and_left_alone() {
    for (text, place, reason) in [
        ("[[users]]\nname = \"a\npassword = 5\n", ":2: not TOML: ", "correct the syntax"),
        ("# one\nusers = 1\n", ":2: users is no list", "write [[users]] above each user"),
    ] {
        let fixture = Fixture::new(text);
        let adding = fixture.users.add("b", &Role::User, &password()).unwrap_err();
        for error in [fixture.users.list().unwrap_err(), adding] {
            let EditError::Broken(problems) = error else { panic!("{error}") };
            let first = problems.iter().next().unwrap().to_string();
            assert!(first.contains(&format!("users.toml{place}")) && first.contains(reason), "{first}");
        }
        assert_eq!(fixture.text(), text);
    }
}

#[test]
fn a_folder_that_is_missing_is_told_with_the_command_that_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let users = UsersFile::at(&folder.path().join("none/users.toml"));
    let error = users.add("a", &Role::User, &password()).unwrap_err().to_string();
    assert!(error.ends_with(&format!("; make its folder first: mkdir -p {}/none", folder.path().display())), "{error}");
}
