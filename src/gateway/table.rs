//! The rules of one host, found by path: as it is written, and as lenient readers see it. Knows no hosts and no configuration.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use http::{HeaderValue, Method};

use super::readings;
use super::routes::Rule;

/// The rules that share a path; the method picks one.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) rules: Vec<Arc<Rule>>,
    /// The value for `Allow`.
    pub(super) allow: Option<HeaderValue>,
}

type Paths = HashMap<Box<[u8]>, usize, RandomState>;

/// The rules of one host, by path as written and, for lenient readings, in lower case.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) groups: Vec<Group>,
    exact: Paths,
    prefixes: Paths,
    folded_exact: Paths,
    folded_prefixes: Paths,
    longest_prefix: usize,
    /// Whether lenient readers see another path in one of the rules: then even a plain path may be read as that.
    has_spellings: bool,
}

impl Table {
    /// False when a path of another case, or with other escapes, is there already.
    pub(super) fn add(&mut self, path: &str, exact: bool, rule: Arc<Rule>) -> bool {
        let path = if path == "/" && !exact { "" } else { path };
        let spellings = readings::decoded(path);
        self.has_spellings |= spellings.iter().any(|spelling| spelling != path.as_bytes());
        let (written, folded) = if exact {
            (&mut self.exact, &mut self.folded_exact)
        } else {
            self.longest_prefix = spellings.iter().map(Vec::len).fold(self.longest_prefix, usize::max);
            (&mut self.prefixes, &mut self.folded_prefixes)
        };
        let index = *written.entry(path.as_bytes().into()).or_insert(self.groups.len());
        if index == self.groups.len() {
            self.groups.push(Group::default());
        }
        self.groups[index].add(rule);
        spellings.into_iter().all(|spelling| *folded.entry(spelling.into()).or_insert(index) == index)
    }

    /// Whether even what was meant by a path of a route is read as another one.
    pub(super) fn never_selects(&self, path: &str, exact: bool) -> bool {
        let below = path.trim_end_matches('/');
        let (written, meant) = if exact { (&self.exact, path) } else { (&self.prefixes, &*format!("{below}/x")) };
        let selected = self.find(meant.as_bytes(), false);
        selected == written.get(if exact { path } else { below }.as_bytes()).copied()
            && self.is_ambiguous(meant, selected)
    }

    /// Where the group of a path is; the longest prefix of whole segments, and before that the path itself.
    pub(super) fn find(&self, path: &[u8], folded: bool) -> Option<usize> {
        let (exact, prefixes) =
            if folded { (&self.folded_exact, &self.folded_prefixes) } else { (&self.exact, &self.prefixes) };
        if let Some(index) = exact.get(path) {
            return Some(*index);
        }
        let ends = path.iter().enumerate().skip(1).filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        let ends = std::iter::once(0).chain(ends).chain(std::iter::once(path.len()));
        ends.take_while(|end| *end <= self.longest_prefix).filter_map(|end| prefixes.get(&path[..end])).last().copied()
    }

    /// Whether a lenient reader would have another group decide.
    pub(super) fn is_ambiguous(&self, path: &str, selected: Option<usize>) -> bool {
        if readings::is_plain(path) {
            return self.has_spellings && self.find(path.as_bytes(), true) != selected;
        }
        readings::readings(path)
            .is_none_or(|readings| readings.iter().any(|reading| self.find(reading, true) != selected))
    }

    /// How a lenient reader would have another group decide, and which; `None` too where there are too many readings.
    pub(super) fn misread(&self, path: &str, selected: Option<usize>) -> Option<(Vec<u8>, Option<usize>)> {
        let readings = readings::readings(path)?.into_iter();
        readings
            .map(|reading| (self.find(&reading, true), reading))
            .find_map(|(read, reading)| (read != selected).then_some((reading, read)))
    }
}

impl Group {
    fn add(&mut self, rule: Arc<Rule>) {
        self.rules.push(rule);
        let mut methods: Vec<&str> = self.rules.iter().flat_map(|rule| &rule.methods).map(Method::as_str).collect();
        if methods.contains(&"GET") && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
        self.allow = HeaderValue::from_str(&methods.join(", ")).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::super::routes::Action;
    use super::super::routes::endpoint;
    use super::*;
    use proptest::prelude::*;

    fn table(paths: &[&str]) -> Table {
        let mut table = Table::default();
        for path in paths {
            assert!(table.add(path, false, endpoint(0, "x", Action::Deny)), "{path}");
        }
        table
    }

    #[test]
    fn a_path_with_escapes_is_found_however_it_is_read() {
        let table = table(&["/", "/a%20b", "/%C3%A4", "/%EF%B7%BA"]);
        for path in ["/a%20b", "/a%20b/x", "/%C3%A4/x", "/%EF%B7%BA/x"] {
            let selected = table.find(path.as_bytes(), false);
            assert!(!table.is_ambiguous(path, selected) && table.misread(path, selected).is_none(), "{path}");
        }
        for path in ["/a%2520b", "/a%20b.", "/%c3%a4"] {
            let selected = table.find(path.as_bytes(), false);
            assert!(table.is_ambiguous(path, selected) && table.misread(path, selected).is_some(), "{path}");
        }
    }

    #[test]
    fn a_path_that_another_one_is_read_as_is_not_added_and_one_that_is_read_as_another_is_known() {
        let mut table = table(&["/", "/a b", "/API", "/x"]);
        for path in ["/a%20b", "/api", "/%E4/x"] {
            assert_eq!(table.add(path, false, endpoint(0, "x", Action::Deny)), path == "/%E4/x", "{path}");
        }
        for (path, never) in
            [("/b.", true), ("/b%20/c", true), ("/b", false), ("/b.c", false), ("/%C3%A4", false), ("/", false)]
        {
            table.add(path, false, endpoint(0, "x", Action::Deny));
            assert_eq!(table.never_selects(path, false), never, "{path}");
        }
        table.add("/x", true, endpoint(0, "x", Action::Deny));
        assert!(!table.never_selects("/x", false) && !table.never_selects("/x", true));
    }
    proptest! {
        /// Whoever asks why a path is refused looks at every reading; whoever refuses it looks no further than he must.
        #[test]
        fn a_path_is_ambiguous_exactly_where_it_is_misread(
            paths in prop::collection::vec("(/[abA%.]{1,3}|/a%20b){1,2}", 0..4),
            asked in "(/[abA%./;]{0,3}){1,3}",
        ) {
            let mut table = Table::default();
            for path in &paths {
                table.add(path, false, endpoint(0, "x", Action::Deny));
            }
            for path in paths.iter().chain([&asked]) {
                let selected = table.find(path.as_bytes(), false);
                let refused = readings::readings(path).is_none();
                prop_assert_eq!(table.is_ambiguous(path, selected), refused || table.misread(path, selected).is_some());
            }
        }
    }
}
