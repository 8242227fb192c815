//! The keys of a section that hold one value: switches, numbers, words, texts.

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

use super::findings::Wrong;
use super::problem::Located;
use super::section::Section;
use super::suggest;
use super::value::quoted;

impl Section<'_> {
    /// True or false, with its place.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<Located<bool>> {
        let node = self.take(key)?;
        let value = self.checked(key, &node.place, node.boolean())?;
        Some(Located { value, place: node.place })
    }

    /// True or false, or the default.
    pub(super) fn flag_or(&mut self, key: &'static str, default: bool) -> bool {
        self.flag(key).map_or(default, |flag| flag.value)
    }

    /// A whole number within a range, or the default.
    pub(super) fn number_or<N>(&mut self, key: &'static str, default: N, range: RangeInclusive<N>) -> N
    where
        N: TryFrom<i64> + PartialOrd + fmt::Display,
    {
        let Some(node) = self.take(key) else { return default };
        let number = node.integer().and_then(|number| within(number, &range));
        self.checked(key, &node.place, number).unwrap_or(default)
    }

    /// A text that `parse` understands, with its place.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Located<T>> {
        let node = self.take(key)?;
        let value = self.checked(key, &node.place, node.text_as(parse))?;
        Some(Located { value, place: node.place })
    }

    /// A text that `parse` understands, or the default.
    pub(super) fn parsed_or<T>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> T {
        self.parsed(key, parse).map_or(default, |parsed| parsed.value)
    }

    /// One of the given words, or the default.
    pub(super) fn choice_or<T: Copy>(&mut self, key: &'static str, default: T, words: &[(&str, T)]) -> T {
        self.parsed_or(key, default, |text| match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(*value),
            None => Err(unknown_word(text, words.iter().map(|(word, _)| *word))),
        })
    }

    /// A text without a default.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        fix: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Located<T>> {
        if !self.has(key) {
            self.missing(key, fix);
        }
        self.parsed(key, parse)
    }

    /// A whole number from 1 to a greatest, or the default.
    pub(super) fn count_or(&mut self, key: &'static str, default: usize, greatest: usize) -> NonZeroUsize {
        NonZeroUsize::new(self.number_or(key, default, 1..=greatest)).unwrap_or(NonZeroUsize::MIN)
    }

    /// A whole number from 1 to a greatest; the word `none`, which is also the default, is no bound.
    pub(super) fn optional_count(&mut self, key: &'static str, greatest: usize) -> Option<NonZeroUsize> {
        let node = self.take(key)?;
        if node.text() == Ok("none") {
            return None;
        }
        let number = node.integer().and_then(|number| within(number, &(1..=greatest)));
        NonZeroUsize::new(self.checked(key, &node.place, number)?)
    }

    /// A whole number of threads, or the word `auto`, which is also the default.
    pub(super) fn threads_or(&mut self, key: &'static str, auto: NonZeroUsize) -> NonZeroUsize {
        let Some(node) = self.take(key) else { return auto };
        if node.text() == Ok("auto") {
            return auto;
        }
        let number = node.integer().ok().and_then(|number| usize::try_from(number).ok());
        let threads = number.filter(|number| (1..=1024).contains(number)).and_then(NonZeroUsize::new);
        let wrong = || Wrong::new("not a number of threads", "say \"auto\" or a number from 1 to 1024");
        self.checked(key, &node.place, threads.ok_or_else(wrong)).unwrap_or(auto)
    }
}

/// That a text is none of the words that are allowed.
pub(super) fn unknown_word<'a>(text: &str, words: impl Iterator<Item = &'a str> + Clone) -> Wrong {
    let all = words.clone().collect::<Vec<_>>().join(", ");
    Wrong::new(format!("{} is not known", quoted(text)), suggest::fix(text, words, format!("use one of: {all}")))
}

fn within<N: TryFrom<i64> + PartialOrd + fmt::Display>(number: i64, range: &RangeInclusive<N>) -> Result<N, Wrong> {
    N::try_from(number).ok().filter(|number| range.contains(number)).ok_or_else(|| {
        let fix = format!("give a number from {} to {}", range.start(), range.end());
        Wrong::new(format!("{number} is out of range"), fix)
    })
}
