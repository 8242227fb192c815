//! The time in front of a line, by RFC 3339. The second is put into words once, for many lines fall into it.

use std::time::{SystemTime, UNIX_EPOCH};

/// The last time that was asked for.
#[derive(Debug, Default)]
pub(super) struct Stamp {
    second: Option<u64>,
    text: String,
}

impl Stamp {
    /// How long the text is up to the second.
    const SECONDS: usize = "2026-11-24T12:33:38".len();

    /// `now` in UTC, to the millisecond. Times before 1970 are 1970.
    pub(super) fn text(&mut self, now: SystemTime) -> &str {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            self.second = Some(since.as_secs());
            self.text = humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string();
            return &self.text;
        }
        self.text.truncate(Self::SECONDS);
        let millis = since.subsec_millis();
        self.text.push('.');
        for digit in [millis / 100, millis / 10 % 10, millis % 10] {
            self.text.extend(char::from_digit(digit, 10));
        }
        self.text.push('Z');
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_is_written_as_the_library_writes_it_whatever_was_asked_before() {
        let mut stamp = Stamp::default();
        for millis in [1_795_523_618_657, 1_795_523_618_007, 1_795_523_618_000, 1_795_523_619_999, 1_795_523_618_120, 0]
        {
            let time = UNIX_EPOCH + Duration::from_millis(millis);
            assert_eq!(stamp.text(time), humantime::format_rfc3339_millis(time).to_string());
        }
    }
}
