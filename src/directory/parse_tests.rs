//! What a users file may say, and every problem that it may have.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const A1: &str = "a1:0123456789abcdef0123456789ABCDEF";

fn read(text: &str) -> (Vec<Record>, Vec<String>) {
    let mut problems = Problems::default();
    let records = parse(Path::new("users.toml"), text, &mut problems);
    (records, problems.iter().map(ToString::to_string).collect())
}

fn user(lines: &str) -> String {
    format!("[[users]]\nname = \"a\"\npassword = \"{A1}\"\n{lines}\n")
}

#[test]
fn a_user_has_name_password_role_and_attributes() {
    let text = format!(
        "# comment\n[[users]]\nname = \"100@MyDomain.com\"\npassword = \"{A1}\"\nrole = \"night\"\n\
         attributes = {{ verto = 1, acl = {{ cdr = [\"r\"] }} }}\n[[users]]\nname = \"root\"\npassword = \"{A1}\"\n"
    );
    let (records, problems) = read(&text);
    assert_eq!(problems, Vec::<String>::new());
    let principal = &records[0].principal;
    assert_eq!((principal.name.as_str(), principal.domain()), ("100@mydomain.com", "mydomain.com"));
    assert_eq!(&*records[0].stored_name, "100@MyDomain.com");
    assert_eq!(principal.role.name(), "night");
    let attributes = Value::Object(principal.attributes.clone()).to_string();
    assert_eq!(attributes, r#"{"verto":1,"acl":{"cdr":["r"]}}"#);
    assert_eq!((records[1].principal.role.name(), records[1].principal.domain()), ("user", ""));
}

#[test]
fn a_known_role_in_another_case_is_a_slip() {
    let (_, problems) = read(&user("role = \"Admin\""));
    assert_eq!(problems, ["users.toml:4: \"Admin\" can't be a role; did you mean \"admin\"?"]);
}

#[test]
fn attributes_may_be_a_table_of_their_own_and_users_an_inline_list() {
    let (records, problems) = read(&user("[users.attributes]\nb = 1\na = 2"));
    assert!(problems.is_empty());
    assert_eq!(Value::Object(records[0].principal.attributes.clone()).to_string(), r#"{"b":1,"a":2}"#);
    let (records, problems) = read(&format!("users = [{{ name = \"a\", password = \"{A1}\" }}]"));
    assert_eq!((records.len(), problems.len()), (1, 0));
}

#[test]
fn no_users_are_no_problem() {
    for text in ["", "users = []\n", "# nobody yet\n"] {
        let (records, problems) = read(text);
        assert_eq!((records.len(), problems.len()), (0, 0), "{text}");
    }
}

#[test]
fn every_problem_is_found_at_once_with_its_line() {
    let text = format!(
        "[[users]]\nname = \"a b\"\npassword = \"planted\"\nrol = \"x\"\n\n[[users]]\npassword = \"{A1}\"\n\
         role = \"a/b\"\nattributes = {{ token = 1, key = 2, ok = 3, nan = nan }}\n\n[[users]]\nname = 5\n\n[extra]\n"
    );
    let (records, problems) = read(&text);
    let lines: Vec<_> = problems.iter().map(|problem| problem.split(": ").next().unwrap()).collect();
    assert!(records.is_empty());
    let mut sorted = lines.clone();
    sorted.sort_unstable();
    let expected = [
        "users.toml:11",
        "users.toml:12",
        "users.toml:14",
        "users.toml:2",
        "users.toml:3",
        "users.toml:4",
        "users.toml:6",
        "users.toml:8",
        "users.toml:9",
        "users.toml:9",
        "users.toml:9",
    ];
    assert_eq!(sorted, expected, "{problems:#?}");
    assert!(!problems.join("\n").contains("planted"));
}

#[test]
fn a_bad_hash_is_mended_by_a_command_with_the_file_and_the_name() {
    for (name, shown) in [("ann@a.example", "ann@a.example"), ("a b", "NAME")] {
        let (_, problems) = read(&format!("[[users]]\nname = \"{name}\"\npassword = \"planted\"\n"));
        let fix = format!("; make one with: gatewarden user passwd --users users.toml {shown}");
        assert!(problems.iter().any(|problem| problem.ends_with(&fix)), "{problems:?}");
    }
}

#[test]
fn syntax_errors_do_not_hide_what_else_is_wrong() {
    let (_, problems) = read("[[users]]\nname = \"a\nrole = \"a/b\"\n[[users]]\nname = \"x y\"\npassword = \n");
    let all = problems.join("\n");
    assert!(all.contains("users.toml:2: not TOML") && all.contains("users.toml:6: not TOML"), "{all}");
    assert!(all.contains("users.toml:3:") && all.contains("users.toml:5:"), "{all}");
    assert!(!all.contains("without password"), "{all}");
}

#[test]
fn what_a_syntax_error_tore_apart_is_no_second_problem() {
    let (_, problems) = read(&format!("{}[[users\nname = \"b\"\npassword = \"planted\"\n", user("")));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("not TOML"), "{problems:?}");
    assert!(read("name = \"a\"\n").1[0].contains("unknown key"));
}

#[test]
fn two_spellings_of_one_name_are_a_problem_that_names_both_lines() {
    let text = format!("{}[[users]]\nname = \"A\"\npassword = \"planted\"\n", user(""));
    let (_, problems) = read(&text);
    assert!(problems[0].starts_with("users.toml:7: password") || problems[1].starts_with("users.toml:7: password"));
    assert!(problems.iter().any(|p| p.starts_with("users.toml:6: user \"a\" is also on line 2")), "{problems:?}");
}

#[test]
fn what_is_no_list_of_tables_is_a_problem() {
    for text in ["users = 1", "users = [1]", "[users]\nname = \"a\"", "user = []", &user("attributes = 1")] {
        assert_eq!(read(text).1.len(), 1, "{text}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text: String) {
        read(&text);
    }

    #[test]
    fn arbitrary_toml_like_text_never_panics(
        lines in prop::collection::vec("(\\[\\[users\\]\\]|name|password|role|attributes|[a-z\"'\\[\\]{}=., ]{0,9})( = (\"[^\"]{0,8}\"|\\{ ?[a-z]? ?= ?[0-9]*\\}|[0-9.e-]{0,6}))?", 0..12)
    ) {
        read(&lines.join("\n"));
    }
}
