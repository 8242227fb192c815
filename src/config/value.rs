//! Texts that are amounts: durations, sizes, and the words that stand for "no bound" and "as many as fit".

use std::num::NonZeroUsize;
use std::time::Duration;

use super::findings::Wrong;

/// Ten years: longer is a slip of the unit, and would overflow clocks further in.
const LONGEST: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

const UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A value as a message shows it: one line, not too long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// `90s`, `250ms`, `1h 30m`; up to ten years.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    let parsed = humantime::parse_duration(text).map_err(|_| {
        let fix = "write a number with its unit, such as \"10s\", \"250ms\" or \"24h\"";
        Wrong::new(format!("{} is not a duration", quoted(text)), fix)
    })?;
    if parsed > LONGEST {
        return Err(Wrong::new(format!("{} is too long", quoted(text)), "give at most \"3650d\""));
    }
    Ok(parsed)
}

/// A duration that is not zero.
pub(super) fn positive_duration(text: &str) -> Result<Duration, Wrong> {
    duration(text).and_then(|parsed| match parsed.is_zero() {
        true => Err(Wrong::new("zero would let nothing through", "give a duration such as \"10s\"")),
        false => Ok(parsed),
    })
}

/// A duration that is not zero, or `none`.
pub(super) fn optional_duration(text: &str) -> Result<Option<Duration>, Wrong> {
    match text {
        "none" => Ok(None),
        "0" | "0s" => Err(Wrong::new("zero would let nothing through", "say \"none\" for no bound")),
        _ => positive_duration(text).map(Some),
    }
}

/// `32KiB`, `50MB`, `4096`: bytes.
pub(super) fn size(text: &str) -> Result<u64, Wrong> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim())).map(|(_, factor)| factor);
    let bytes = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(*factor));
    bytes.ok_or_else(|| {
        let fix = "write a number with its unit, such as \"32KiB\" or \"50MB\"";
        Wrong::new(format!("{} is not a size", quoted(text)), fix)
    })
}

/// A size that is not zero, or `none`.
pub(super) fn optional_size(text: &str) -> Result<Option<u64>, Wrong> {
    match text {
        "none" => Ok(None),
        _ => match size(text)? {
            0 => Err(Wrong::new("zero would let nothing through", "say \"none\" for no bound")),
            bytes => Ok(Some(bytes)),
        },
    }
}

/// One per core that the process may use; the quota of the cgroup counts.
pub(super) fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("3650d"), Ok(LONGEST));
        for bad in ["10", "ten seconds", "-1s", "99999y", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(positive_duration("0s").is_err());
    }

    #[test]
    fn none_is_no_bound_and_zero_is_a_slip() {
        assert_eq!(optional_duration("none"), Ok(None));
        assert_eq!(optional_duration("5s"), Ok(Some(Duration::from_secs(5))));
        assert_eq!(optional_size("none"), Ok(None));
        assert_eq!(optional_size("50MB"), Ok(Some(50_000_000)));
        assert!(optional_duration("0s").is_err() && optional_size("0").is_err());
    }

    #[test]
    fn sizes_count_in_bytes() {
        for (text, bytes) in [("32KiB", 32_768), ("4096", 4096), ("1 kib", 1024), ("2MiB", 2 << 20), ("7B", 7)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "KiB", "12 parsecs", "-1", "1.5MB", "99999999999GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_quoted_value_stays_one_short_line() {
        assert_eq!(quoted("a\nb"), "\"a\\nb\"");
        assert!(quoted(&"ä".repeat(1000)).len() < 200);
    }
}
