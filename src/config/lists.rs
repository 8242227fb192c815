//! The keys of a section that hold more than one value: lists, sections below, tables in arrays.

use super::findings::Wrong;
use super::problem::Located;
use super::section::Section;
use super::tree::{Node, Value};

impl Section<'_> {
    /// A list of texts that `parse` understands, each with its place; no value twice.
    pub(super) fn list<T: PartialEq>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Vec<Located<T>>> {
        let items = self.items(key)?;
        let mut values: Vec<Located<T>> = Vec::with_capacity(items.len());
        for item in items {
            let Some(value) = self.checked(key, &item.place, named(key, &item, &parse)) else { continue };
            if values.iter().any(|earlier| earlier.value == value) {
                self.wrong(key, &item.place, Wrong::new("named twice", "remove one of the two"));
                continue;
            }
            values.push(Located { value, place: item.place });
        }
        Some(values)
    }

    /// The values of a list of texts, or the default.
    pub(super) fn list_or<T: PartialEq>(
        &mut self,
        key: &'static str,
        default: Vec<T>,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<T> {
        self.list(key, parse).map_or(default, |values| values.into_iter().map(|located| located.value).collect())
    }

    /// The section below at that key; where it is absent, one without keys, so that defaults have one home.
    pub(super) fn section<R>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'_>) -> R) -> R {
        let node = self.take(key);
        let place = node.as_ref().map_or_else(|| self.findings().place(0), |node| node.place.clone());
        let table = node.and_then(|node| self.checked(key, &place, node.table()));
        Section::read(table.unwrap_or_default(), (self.name_of(key), place), self.findings(), read)
    }

    /// The section below at that key, where it was written.
    pub(super) fn section_if<R>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'_>) -> R) -> Option<R> {
        self.has(key).then(|| self.section(key, read))
    }

    /// Every table of the array at that key; absent where the key was not written.
    pub(super) fn sections<R>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'_>) -> R,
    ) -> Option<Vec<R>> {
        let mut results = Vec::new();
        for item in self.items(key)? {
            let place = item.place.clone();
            if let Some(table) = self.checked(key, &place, item.table()) {
                results.push(Section::read(table, (self.name_of(key), place), self.findings(), &mut read));
            }
        }
        Some(results)
    }

    fn items(&mut self, key: &'static str) -> Option<Vec<Node>> {
        let node = self.take(key)?;
        let place = node.place.clone();
        // A list that is no list still was written: its key is not missing.
        Some(self.checked(key, &place, node.list()).unwrap_or_default())
    }
}

/// An item of a list. A number among roles stands for no role, even in quotes.
fn named<T>(key: &str, item: &Node, parse: impl Fn(&str) -> Result<T, Wrong>) -> Result<T, Wrong> {
    let fix = "name roles, in quotes: \"root\", \"admin\", \"user\" or one of your own";
    match item.value {
        Value::Integer(_) if key == "roles" => item.text_as(parse).map_err(|wrong| Wrong { fix: fix.into(), ..wrong }),
        _ => item.text_as(parse),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::bad;

    #[test]
    fn numbers_in_a_list_are_told_what_belongs_there() {
        let route = "[[routes]]\npath = \"/a\"\nupstream = \"api\"\n";
        assert!(
            bad(&format!("{route}roles = [1]\n"))[0]
                .ends_with("not a number; name roles, in quotes: \"root\", \"admin\", \"user\" or one of your own")
        );
        assert!(bad(&format!("{route}methods = [true]\n"))[0].ends_with("write methods in capitals, such as \"GET\""));
    }
}
