//! The configuration as it was written: a tree of values that each know their place. Knows no key and no meaning.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::findings::{Findings, Wrong};
use super::problem::Place;
use super::value::quoted;

/// The keys of a table and what stands at them.
pub(super) type Table = BTreeMap<String, Node>;

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// What was written.
    pub(super) value: Value,
    /// Where the key stands; for an item of a list, where the item stands.
    pub(super) key: Place,
    /// Where the value stands.
    pub(super) place: Place,
}

/// What was written.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A text in quotes.
    Text(String),
    /// A text from the environment, which is whatever type its key wants.
    Raw(String),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Boolean(bool),
    /// A list, of tables as well.
    List(Vec<Node>),
    /// A table.
    Table(Table),
    /// Something that no key takes, by its name in English.
    Other(&'static str),
}

/// Where the parser gives the rest of the text up.
const GIVES_UP: &str = "key with no value";

const DUPLICATE: &str = "duplicate key";

const NO_COMMA: &str = "missing comma between array elements, expected `,`";

/// What the parser says of a bare word, and of no word, where a value belongs.
const NO_QUOTES: &str = "string values must be quoted";

/// How often a text is read again behind a line that the parser gave up at.
const ROUNDS: usize = 32;

/// The tree of a TOML text; what is no TOML goes to the findings.
pub(super) fn parse(text: &str, findings: &Findings) -> Table {
    let reader = Reader { starts: line_starts(text), findings };
    let mut text = text.to_owned();
    for _ in 0..ROUNDS {
        let Some(line) = DeTable::parse_recoverable(&text).1.iter().find_map(|error| reader.given_up_at(error)) else {
            break;
        };
        findings.add_torn(line, no_value());
        reader.blank(&mut text, line);
    }
    let (table, errors) = DeTable::parse_recoverable(&text);
    reader.tell(&text, &errors);
    reader.table(table.into_inner(), &findings.place(0))
}

fn syntax(error: &toml::de::Error) -> Wrong {
    if error.message().starts_with(NO_QUOTES) && error.span().is_some_and(|span| span.is_empty()) {
        return no_value();
    }
    let fix = match error.message() {
        NO_COMMA => "write a comma, or close the bracket that was opened before",
        DUPLICATE => "remove one of the two",
        message if message.starts_with(NO_QUOTES) => "write the value in quotes",
        _ => "check the quotes, brackets and commas of this line",
    };
    Wrong::new(format!("not valid TOML: {}", error.message()), fix)
}

fn table_twice(header: &str) -> Wrong {
    let what = format!("not valid TOML: {} names what is there already", quoted(header));
    Wrong::new(what, "where there may be several, as of routes, write each as [[routes]]; else make the two one")
}

fn no_value() -> Wrong {
    Wrong::new("not valid TOML: a key without a value", "write key = value")
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

struct Reader<'f> {
    starts: Vec<usize>,
    findings: &'f Findings,
}

impl Reader<'_> {
    fn given_up_at(&self, error: &toml::de::Error) -> Option<usize> {
        let span = error.span().filter(|_| error.message().starts_with(GIVES_UP))?;
        Some(self.line(span.start))
    }

    /// Adds what is wrong; lines that are an echo of what was told are only marked.
    fn tell(&self, text: &str, errors: &[toml::de::Error]) {
        let (mut told, mut twice) = ("", None);
        for error in errors {
            let line = error.span().map_or(0, |span| self.line(span.start));
            let header = if error.message() == DUPLICATE { self.header_above(text, line) } else { None };
            // A bracket that is never closed makes the same error of every line that follows: the first one says it.
            let goes_on = error.message() == NO_COMMA && told == NO_COMMA;
            if goes_on || header.is_some() && header == twice {
                self.findings.tear(line);
            } else if header == Some(line) {
                twice = header;
                self.findings.add_torn(line, table_twice(text[self.range(text, line)].trim()));
            } else {
                self.findings.add_torn(line, syntax(error));
            }
            told = error.message();
        }
    }

    /// The line of the table that a line belongs to.
    fn header_above(&self, text: &str, line: usize) -> Option<usize> {
        (1..=line).rev().find(|line| text[self.range(text, *line)].trim_start().starts_with('['))
    }

    /// Makes a line spaces, so that what is behind it keeps its place.
    fn blank(&self, text: &mut String, line: usize) {
        let range = self.range(text, line);
        let spaces = " ".repeat(range.len());
        text.replace_range(range, &spaces);
    }

    /// Where a line stands, without its end.
    fn range(&self, text: &str, line: usize) -> Range<usize> {
        let start = self.starts[line - 1];
        start..text[start..].find('\n').map_or(text.len(), |length| start + length)
    }

    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    /// The place of a span; of the parser's stand-in for a value that it could not read, what is around it.
    fn place(&self, span: Range<usize>, around: &Place) -> Place {
        if span.is_empty() { around.clone() } else { self.findings.place(self.line(span.start)) }
    }

    fn table(&self, table: DeTable<'_>, around: &Place) -> Table {
        // An empty span is the parser's stand-in for a key that is not there: its line was told.
        let written = table.into_iter().filter(|(key, _)| !key.span().is_empty());
        let entries = written.map(|(key, value)| {
            let place = self.place(key.span(), around);
            let node = Node { key: place.clone(), ..self.node(value, &place) };
            (key.into_inner().into_owned(), node)
        });
        entries.collect()
    }

    fn node(&self, value: Spanned<DeValue<'_>>, around: &Place) -> Node {
        let place = self.place(value.span(), around);
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(number) => integer(&number),
            DeValue::Float(_) => Value::Other("a number with a fraction"),
            DeValue::Boolean(flag) => Value::Boolean(flag),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(items) => Value::List(items.into_iter().map(|item| self.node(item, &place)).collect()),
            DeValue::Table(table) => Value::Table(self.table(table, &place)),
        };
        Node { value, key: place.clone(), place }
    }
}

fn integer(number: &DeInteger<'_>) -> Value {
    match i64::from_str_radix(number.as_str(), number.radix()) {
        Ok(number) => Value::Integer(number),
        Err(_) => Value::Other("a number too large to use"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn line(place: &Place) -> usize {
        match place {
            Place::File { line, .. } => *line,
            Place::Environment(name) => panic!("{name} is no line"),
        }
    }

    #[test]
    fn every_node_knows_its_line() {
        let findings = Findings::new(Path::new("g.toml"));
        let tree = parse("# first\n[a]\nb = 1_000\n\n[[c]]\nd = [\n  'x',\n  \"y\",\n]\n[[c]]\n[e.f]\n", &findings);
        assert!(findings.into_problems().is_empty());
        let Value::Table(a) = &tree["a"].value else { panic!("{tree:?}") };
        assert_eq!((line(&tree["a"].place), line(&a["b"].place)), (2, 3));
        assert!(matches!(a["b"].value, Value::Integer(1000)));
        let Value::List(c) = &tree["c"].value else { panic!("{tree:?}") };
        assert_eq!((line(&c[0].place), line(&c[1].place)), (5, 10));
        let Value::Table(first) = &c[0].value else { panic!("{c:?}") };
        let Value::List(d) = &first["d"].value else { panic!("{first:?}") };
        assert_eq!((line(&first["d"].key), line(&d[1].place)), (6, 8));
        assert_eq!(line(&tree["e"].key), 11);
    }

    #[test]
    fn all_syntax_errors_are_told() {
        let findings = Findings::new(Path::new("g.toml"));
        parse("[a]\nb = x y\nc = \nd = 1\n", &findings);
        let lines: Vec<usize> = findings.into_problems().iter().map(|problem| line(&problem.place)).collect();
        assert_eq!(lines, [2, 3]);
    }

    #[test]
    fn what_is_behind_a_torn_line_is_read_all_the_same() {
        for torn in ["b 5", "b", "= 5", "\"b", "b = \"x", "]", "b = 'x", "b = 5 c = 6", "b.= 5", "ä = 1", "\u{1}"] {
            let findings = Findings::new(Path::new("g.toml"));
            let tree = parse(&format!("[a]\n{torn}\nc = 1\n[d]\ne = 2\n[f]\ng 3\n[h]\n"), &findings);
            let problems = findings.into_problems();
            assert!(problems.iter().any(|problem| (2..=5).contains(&line(&problem.place))), "{torn}: {problems}");
            assert!(tree.contains_key("h") && tree.contains_key("f"), "{torn}: {problems} {tree:?}");
        }
    }

    #[test]
    fn what_is_begun_and_not_there_is_told_once_with_its_line() {
        for (torn, what) in
            [("a =", "a key without a value"), ("[", "unquoted keys cannot be empty"), ("[[", "unquoted")]
        {
            let findings = Findings::new(Path::new("g.toml"));
            let tree = parse(&format!("# first\n{torn}\n"), &findings);
            let problems = findings.into_problems();
            assert_eq!(problems.iter().count(), 1, "{torn}: {problems}");
            assert!(
                problems.to_string().starts_with(&format!("g.toml:2: not valid TOML: {what}")),
                "{torn}: {problems}"
            );
            assert!(!tree.contains_key(""), "{torn}: {tree:?}");
        }
    }

    #[test]
    fn a_table_that_is_there_twice_is_told_once_and_a_key_by_itself() {
        let findings = Findings::new(Path::new("g.toml"));
        let table = "[routes]\npath = \"/a\"\nupstream = \"api\"\n";
        parse(&format!("{table}{table}[log]\nlevel = \"info\"\nlevel = \"warn\"\n"), &findings);
        let problems = findings.into_problems();
        let told: Vec<(usize, bool)> =
            problems.iter().map(|p| (line(&p.place), p.fix.contains("[[routes]]"))).collect();
        assert_eq!(told, [(4, true), (9, false)], "{problems}");
    }

    #[test]
    fn a_bracket_that_is_never_closed_is_told_once() {
        let findings = Findings::new(Path::new("g.toml"));
        parse("[a]\nb = [1\nc = 1\n[d]\ne = 2\n", &findings);
        let problems = findings.into_problems().to_string();
        assert!(problems.starts_with("g.toml:3: not valid TOML: missing comma"), "{problems}");
        assert!(!problems.contains("g.toml:4"), "{problems}");
    }

    #[test]
    fn huge_numbers_and_dates_are_kept_as_what_they_are() {
        let findings = Findings::new(Path::new("g.toml"));
        let tree = parse("a = 99999999999999999999\nb = 0xff\nc = 1979-05-27\nd = 1.5", &findings);
        assert!(matches!(tree["a"].value, Value::Other("a number too large to use")));
        assert!(matches!(tree["b"].value, Value::Integer(255)));
        assert!(matches!(tree["c"].value, Value::Other("a date")));
        assert!(matches!(tree["d"].value, Value::Other("a number with a fraction")));
    }
}
