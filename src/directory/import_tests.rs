//! What becomes a user, and what is refused, line by line.

use super::*;

const BCRYPT: &str = "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

fn import(text: &[u8], format: Option<Format>, domain: Option<&str>) -> (Vec<Newcomer>, Vec<String>) {
    let import = Import { path: Path::new("in"), format, role: Role::User, domain: domain.map(str::to_owned) };
    let mut problems = Problems::default();
    let newcomers = import.read(text, &mut problems);
    (newcomers, problems.iter().map(ToString::to_string).collect())
}

fn good(text: &str, domain: Option<&str>) -> Vec<String> {
    let (newcomers, problems) = import(text.as_bytes(), None, domain);
    assert!(problems.is_empty(), "{problems:?}");
    let told = |newcomer: &Newcomer| {
        let secret = if matches!(newcomer.secret, Secret::Hash(_)) { "hash" } else { "plain" };
        format!("{} {} {secret}", newcomer.name, newcomer.role)
    };
    newcomers.iter().map(told).collect()
}

fn bad(text: &str) -> Vec<String> {
    import(text.as_bytes(), None, None).1
}

#[test]
fn htpasswd_lines_become_users() {
    let text = format!("# staff\r\n\r\nann:{BCRYPT}\r\nbob@b.example:{BCRYPT}\n");
    assert_eq!(good(&text, None), ["ann user hash", "bob@b.example user hash"]);
    assert_eq!(good(&text, Some("a.example")), ["ann@a.example user hash", "bob@b.example user hash"]);
}

#[test]
fn csv_lines_become_users_whatever_the_order_of_the_columns() {
    let text = format!("\u{feff}Role, Password ,username\nadmin,{BCRYPT},ann\n,\"a, \"\"b\"\"\",100@a.example\n");
    assert_eq!(good(&text, None), ["ann admin hash", "100@a.example user plain"]);
    let (newcomers, _) = import(text.as_bytes(), None, None);
    assert!(matches!(&newcomers[1].secret, Secret::Plain(password) if password.as_bytes() == b"a, \"b\""));
    assert_eq!(good("name,password\nx,a1:0123456789abcdef0123456789abcdef\n", None), ["x user hash"]);
}

#[test]
fn hashes_of_other_kinds_are_refused_line_by_line_and_never_repeated() {
    let text =
        "a:$apr1$planted$x\nb:{SHA}planted\nc:planted\nd:$6$planted$x\ne:$1$planted\nf:$2y$05$planted\ng:$7$planted\n";
    let problems = bad(text);
    assert_eq!(problems.len(), 7);
    for (line, kind) in [
        "an apr1",
        "an LDAP",
        "a crypt",
        "a SHA crypt",
        "an MD5 crypt",
        "not a well-formed bcrypt",
        "a hash of an unknown",
    ]
    .iter()
    .enumerate()
    {
        assert!(problems[line].starts_with(&format!("in:{}: password: {kind}", line + 1)), "{}", problems[line]);
    }
    assert!(!problems.concat().contains("planted"));
    assert!(problems[0].contains("htpasswd -B"));
}

#[test]
fn in_a_csv_a_foreign_hash_is_not_taken_for_a_password() {
    let problems = bad("name,password\na,$apr1$planted$x\nb,{SSHA}planted\nc,\n");
    assert_eq!(problems.len(), 3);
    assert!(problems[0].starts_with("in:2: password: an apr1 hash can't be used"));
    assert!(!problems.concat().contains("planted"));
}

#[test]
fn every_problem_is_found_with_its_line() {
    let text = "name,password,role\nann,x,user\nANN,x,user\na b,x,not/a/token\nbob,x\n\"c\nd\",x,user\nok,x,root\nann2,x,Admin\n";
    assert_eq!(
        bad(text),
        [
            "in:3: user \"ann\" is also on line 2; names are compared in canonical form; keep one of them",
            "in:4: \"a b\" can't be a user's name; a name is LOCAL or LOCAL@DOMAIN, without spaces",
            "in:4: \"not/a/token\" can't be a role; a role is root, admin, user or one of your own: up to 64 letters, digits, - or _, no spaces",
            "in:5: 2 fields, where the first line names 3; put fields that hold a comma or a quote in quotes",
            "in:6: \"c\\nd\" can't be a user's name; a name is LOCAL or LOCAL@DOMAIN, without spaces",
            "in:9: \"Admin\" can't be a role; did you mean \"admin\"?",
        ]
    );
}

#[test]
fn a_text_without_users_or_columns_is_a_problem() {
    for (text, part) in [
        ("", "no users"),
        ("# nothing\n", "no users"),
        ("name,password\n", "no users"),
        ("password,phone\nx,y\n", "unknown column \"phone\""),
        ("password,role\nx,y\n", "no column name"),
        ("name,password,name\nx,y,z\n", "is there twice"),
        (
            "just words\n",
            "no colon; an htpasswd line is NAME:HASH; a CSV begins with the names of its columns, name,password,role",
        ),
        ("name,pass\nx,y\n", "unknown column \"pass\""),
    ] {
        assert!(bad(text).concat().contains(part), "{text:?}: {:?}", bad(text));
    }
    assert!(import(b"a:\n\xff\n", None, None).1.concat().starts_with("in:2: not UTF-8"));
    for format in [Some(Format::Csv), None] {
        let problems = import(b"ann,planted\n", format, None).1;
        assert!(problems.len() == 1 && problems[0].contains("name,password,role"), "{problems:?}");
        assert!(!problems[0].contains("planted"), "what stands there may be a password: {problems:?}");
    }
}
