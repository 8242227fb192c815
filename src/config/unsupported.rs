//! Keys and values that this build does not do yet: said aloud, never accepted and ignored.

use super::findings::Wrong;
use super::scalars::unknown_word;
use super::section::Section;
use super::value::quoted;

const FIX: &str = "remove it";

impl Section<'_> {
    /// A key that is refused whatever it says.
    pub(super) fn unsupported(&mut self, key: &'static str) {
        if let Some(node) = self.take_refused(key) {
            self.wrong(key, &node.key, not_yet("not supported by this build yet"));
        }
    }

    /// A choice of which this build does only the first word.
    pub(super) fn unsupported_choice(&mut self, key: &'static str, words: &[&str]) {
        self.parsed_or(key, (), |text| match words.iter().position(|word| *word == text) {
            Some(0) => Ok(()),
            Some(_) => {
                let what = format!("{} is not supported by this build yet", quoted(text));
                Err(Wrong::new(what, format!("say \"{}\", which is what there is", words[0])))
            }
            None => Err(unknown_word(text, words.iter().take(1).copied())),
        });
    }
}

/// That something is known but not done.
pub(super) fn not_yet(what: impl Into<String>) -> Wrong {
    Wrong::new(what, FIX)
}
