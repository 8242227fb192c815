//! What audit lines look like, and that none is lost.

use std::net::IpAddr;
use std::path::Path;

use super::*;

fn entry(user: &str) -> Entry<'_> {
    Entry {
        event: Event::Login,
        user: Some(user),
        peer: Some(IpAddr::from([192, 0, 2, 1])),
        session: Some("0123456789abcdef"),
        role: Some("user"),
        reason: None,
        request_id: Some("id-1"),
    }
}

fn logged(format: LogFormat, write: impl FnOnce(&Audit, &Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let audit = Audit::start(format, Target::open(Place::File(path.clone())).unwrap()).unwrap();
    write(&audit, &path);
    drop(audit);
    std::fs::read_to_string(&path).unwrap()
}

#[test]
fn every_line_is_an_object_with_the_same_members() {
    let text = logged(LogFormat::Json, |audit, _| {
        audit.write(&entry("a\"b"));
        audit.write(&Entry { event: Event::SessionEnded, peer: None, reason: Some("expired"), ..entry("c") });
    });
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let members = |line: &serde_json::Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let all = ["time", "target", "event", "user", "peer", "session", "role", "reason", "request_id"];
    assert_eq!((members(&lines[0]), members(&lines[1])), (all.map(String::from).into(), all.map(String::from).into()));
    assert_eq!(
        (&lines[0]["target"], &lines[0]["event"], &lines[0]["user"]),
        (&"audit".into(), &"login".into(), &"a\"b".into())
    );
    assert_eq!((&lines[1]["reason"], &lines[1]["peer"]), (&"expired".into(), &serde_json::Value::Null));
}

#[test]
fn text_lines_are_one_line_each_whatever_a_name_holds() {
    let text = logged(LogFormat::Text, |audit, _| audit.write(&entry("a b\u{2028}c\nd")));
    let expected =
        r" audit login user=a\u{20}b\u{2028}c\nd peer=192.0.2.1 session=0123456789abcdef role=user reason=- id=id-1";
    assert!(text.ends_with(&format!("{expected}\n")) && text.lines().count() == 1, "{text}");
}

#[test]
fn a_rotated_file_is_opened_anew() {
    let text = logged(LogFormat::Json, |audit, path| {
        std::fs::rename(path, path.with_extension("1")).unwrap();
        audit.reopen();
        audit.write(&entry("after"));
    });
    assert!(text.contains("after"));
}

#[test]
fn many_lines_from_many_threads_all_arrive() {
    let text = logged(LogFormat::Json, |audit, _| {
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let write = move || (0..1000).for_each(|line| audit.write(&entry(&format!("user-{thread}-{line}"))));
                scope.spawn(write);
            }
        });
    });
    assert_eq!(text.lines().count(), 8000);
    assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
}

/// A file that takes nothing, then one that does: a full disk that is mended.
#[tokio::test(start_paused = true)]
async fn lines_that_cannot_be_written_wait_and_so_do_logins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let audit = Audit::start(LogFormat::Json, Target::open(Place::File(path.clone())).unwrap()).unwrap();
    audit.write(&entry("first"));
    assert_eq!(audit.room().await, Ok(()));
    let line = "x".repeat(1000);
    (0..ROOM / 1000).for_each(|_| audit.write(&entry(&line)));
    assert_eq!(audit.room().await, Err(Stuck));
    std::fs::remove_file(&path).unwrap();
    audit.reopen();
    tokio::task::spawn_blocking(move || drop(audit)).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 1 + ROOM / 1000, "all of them, once the disk has room");
    assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
}
