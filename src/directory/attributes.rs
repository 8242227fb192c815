//! A user's attributes: TOML becomes the JSON of the login answer, in the order written. Knows no users.

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// Keys of the login answer itself.
pub(super) const RESERVED: [&str; 5] = ["key", "username", "expires", "token", "role"];

/// A table's entries in the order in which they were written, which the parser doesn't keep.
pub(super) fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<(&'a Spanned<DeString<'i>>, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// The same as JSON; absent for what JSON has no number for.
pub(super) fn to_json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(yes) => Value::Bool(*yes),
        DeValue::Integer(number) => Value::Number(i64::from_str_radix(number.as_str(), number.radix()).ok()?.into()),
        DeValue::Float(number) => Value::Number(Number::from_f64(number.as_str().parse().ok()?)?),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| to_json(item.get_ref())).collect::<Option<_>>()?),
        DeValue::Table(table) => Value::Object(to_object(table)?),
    })
}

fn to_object(table: &DeTable<'_>) -> Option<Map<String, Value>> {
    let entry = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
        Some((key.get_ref().to_string(), to_json(value.get_ref())?))
    };
    in_order(table).into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Option<Value> {
        to_json(&DeValue::Table(DeTable::parse(text).unwrap().into_inner()))
    }

    #[test]
    fn every_kind_of_value_passes_in_the_order_written() {
        let text = "z = 1_000\ny = 0x1F\nx = [true, 'a']\nw = { d = 1.5, c = 1979-05-27 }\n[v]\nb = -1\na = \"ü\"\n";
        let expected = r#"{"z":1000,"y":31,"x":[true,"a"],"w":{"d":1.5,"c":"1979-05-27"},"v":{"b":-1,"a":"ü"}}"#;
        assert_eq!(json(text).unwrap().to_string(), expected);
    }

    #[test]
    fn numbers_that_json_has_not_are_absent() {
        assert_eq!(json("a = nan"), None);
        assert_eq!(json("a = { b = [inf] }"), None);
        assert_eq!(json("a = 99999999999999999999"), None);
    }
}
