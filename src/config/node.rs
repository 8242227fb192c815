//! A node read as the type that its key wants.

use super::findings::Wrong;
use super::tree::{Node, Table, Value};

impl Node {
    /// The text; empty ones are refused, since a default is asked for by leaving the key out.
    pub(super) fn text(&self) -> Result<&str, Wrong> {
        match &self.value {
            Value::Text(text) | Value::Raw(text) if text.is_empty() => {
                Err(Wrong::new("empty", "give a value, or remove the key to get the default"))
            }
            Value::Text(text) | Value::Raw(text) if text.contains('\0') => {
                Err(Wrong::new("holds a NUL character", "remove it"))
            }
            Value::Text(text) | Value::Raw(text) => Ok(text),
            Value::Integer(_) | Value::Boolean(_) | Value::Other(_) => {
                Err(self.other_than("a text", "write it in quotes"))
            }
            Value::List(_) | Value::Table(_) => Err(self.other_than("a text", "give one value in quotes")),
        }
    }

    /// The text as `parse` understands it. A number or a switch without quotes is tried as what it may have been meant as, so
    /// that what is said about it is all there is to say.
    pub(super) fn text_as<T>(&self, parse: impl Fn(&str) -> Result<T, Wrong>) -> Result<T, Wrong> {
        let wrong = match self.text() {
            Ok(text) => return parse(text),
            Err(wrong) => wrong,
        };
        let fix = match &self.value {
            Value::Integer(number) => parse(&number.to_string()).map(|_| format!("write \"{number}\"")).or_else(|_| {
                let seconds = format!("{number}s");
                parse(&seconds).map(|_| format!("write \"{seconds}\"")).map_err(|wrong| wrong.fix)
            }),
            Value::Boolean(flag) => parse(&flag.to_string()).map(|_| wrong.fix.clone()).map_err(|wrong| wrong.fix),
            _ => Ok(wrong.fix),
        };
        Err(Wrong { what: wrong.what, fix: fix.unwrap_or_else(|fix| fix) })
    }

    /// True or false.
    pub(super) fn boolean(&self) -> Result<bool, Wrong> {
        match &self.value {
            Value::Boolean(flag) => Ok(*flag),
            Value::Raw(text) => text.parse().map_err(|_| Wrong::new("not true or false", "say true or false")),
            _ => Err(self.other_than("true or false", "say true or false, without quotes")),
        }
    }

    /// A whole number.
    pub(super) fn integer(&self) -> Result<i64, Wrong> {
        match &self.value {
            Value::Integer(number) => Ok(*number),
            Value::Raw(text) => text.parse().map_err(|_| Wrong::new("not a whole number", "give a number such as 100")),
            _ => Err(self.other_than("a whole number", "give a number such as 100, without quotes")),
        }
    }

    /// A list with something in it.
    pub(super) fn list(self) -> Result<Vec<Self>, Wrong> {
        match self.value {
            Value::List(items) if items.is_empty() => {
                Err(Wrong::new("an empty list", "name at least one, or remove the key to get the default"))
            }
            Value::List(items) => Ok(items),
            Value::Raw(_) => Err(Wrong::new("a list cannot come from the environment", "set it in the file")),
            Value::Table(_) => {
                Err(self.other_than("a list", "write [{ ... }], or its name in double brackets: [[name]]"))
            }
            _ => Err(self.other_than("a list", "put it in brackets: [\"...\"]")),
        }
    }

    /// A table.
    pub(super) fn table(self) -> Result<Table, Wrong> {
        match self.value {
            Value::Table(table) => Ok(table),
            Value::Raw(_) => Err(Wrong::new("a table, not a value", "name one of its keys after another __")),
            Value::List(_) => Err(self.other_than("one table", "write its name in single brackets: [name]")),
            _ => Err(self.other_than("a table", "give its keys below a line with its name in brackets: [name]")),
        }
    }

    /// What was written, as a message names it.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Text(_) | Value::Raw(_) => "a text",
            Value::Integer(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Other(kind) => kind,
        }
    }

    fn other_than(&self, wanted: &str, fix: &str) -> Wrong {
        Wrong::new(format!("wants {wanted}, not {}", self.kind()), fix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::Place;

    fn node(value: Value) -> Node {
        let place = Place::Environment("GATEWARDEN_A__B".into());
        Node { value, key: place.clone(), place }
    }

    #[test]
    fn a_text_of_the_environment_is_what_the_key_wants() {
        let raw = |text: &str| node(Value::Raw(text.into()));
        assert_eq!(raw("true").boolean(), Ok(true));
        assert_eq!(raw("12").integer(), Ok(12));
        assert_eq!(raw("12").text(), Ok("12"));
        assert!(raw("12").boolean().is_err() && raw("x").integer().is_err());
        assert!(raw("x").list().is_err() && raw("x").table().is_err());
    }

    #[test]
    fn a_text_of_the_file_is_a_text_only() {
        let text = || node(Value::Text("12".into()));
        assert!(text().integer().is_err() && text().boolean().is_err() && text().list().is_err());
        assert_eq!(text().text(), Ok("12"));
        assert!(node(Value::Text(String::new())).text().is_err());
        assert!(node(Value::Text("a\0b".into())).text().is_err());
        let wrong = node(Value::Integer(4)).text().unwrap_err();
        assert_eq!((&*wrong.what, &*wrong.fix), ("wants a text, not a number", "write it in quotes"));
    }

    #[test]
    fn what_stands_without_quotes_is_told_what_it_should_have_been() {
        let fix = |value: Value, parse: fn(&str) -> Result<(), Wrong>| node(value).text_as(parse).unwrap_err().fix;
        let any = |_: &str| Ok(());
        let timed = |text: &str| text.ends_with('s').then_some(()).ok_or(Wrong::new("x", "write a duration"));
        assert_eq!(fix(Value::Integer(4), any), "write \"4\"");
        assert_eq!(fix(Value::Integer(20), timed), "write \"20s\"");
        assert_eq!(fix(Value::Boolean(true), timed), "write a duration");
        assert_eq!(fix(Value::Boolean(true), any), "write it in quotes");
        assert_eq!(fix(Value::Other("a date"), timed), "write it in quotes");
        assert_eq!(fix(Value::Text("x".into()), timed), "write a duration");
    }
}
