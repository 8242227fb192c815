//! "Did you mean ...?": the known name nearest to what was written.

/// The candidate that a slip of the fingers could have turned into `written`; absent when none is that near.
pub(super) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_ascii_lowercase();
    // Distances are quadratic, and no key is this long.
    if written.len() > 64 {
        return None;
    }
    let allowed = |name: &str| (name.len().min(written.len()) / 3).clamp(1, 3);
    candidates
        .into_iter()
        // Any digits are one slip away from any others.
        .filter(|name| name.bytes().any(|b| b.is_ascii_alphabetic()))
        .map(|name| (distance(&written, &name.to_ascii_lowercase()), name))
        .filter(|(distance, name)| *distance <= allowed(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `did you mean "x"?` where something is near, else `otherwise`.
pub(super) fn fix<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>, otherwise: String) -> String {
    nearest(written, candidates).map_or(otherwise, |name| format!("did you mean \"{name}\"?"))
}

/// Insertions, deletions, replacements and swaps of neighbours between two names (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let keys = ["connections", "streams", "header_bytes"];
        assert_eq!(nearest("conections", keys), Some("connections"));
        assert_eq!(nearest("steams", keys), Some("streams"));
        assert_eq!(nearest("headerbytes", keys), Some("header_bytes"));
        assert_eq!(nearest("Streams", keys), Some("streams"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("1.4", ["1.2", "1.3"]), None);
        assert_eq!(nearest(&"x".repeat(10_000), keys), None);
    }

    #[test]
    fn swapped_neighbours_count_once() {
        assert_eq!(distance("gte", "get"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
