//! What a request is called in its access line, by its upstream and in its answer.

use http::HeaderValue;

use crate::hex::hex_digits;

/// Sixteen digits of the worker, a hyphen, and up to sixteen that count.
const LONGEST: usize = 16 + 1 + 16;

/// The id of one request.
pub(crate) enum RequestId {
    /// A trusted proxy's own: `[A-Za-z0-9._-]{1,128}`.
    Told(HeaderValue),
    /// The gateway's, which needs no memory of its own until somebody wants it as a header.
    Made { digits: [u8; LONGEST], length: usize },
}

impl RequestId {
    /// The next one of a worker, whose own part is `prefix`.
    pub(super) fn made(prefix: &[u8; 16], count: u64) -> Self {
        let counted = hex_digits(count);
        let first = counted.iter().position(|digit| *digit != b'0').unwrap_or(15);
        let mut digits = [b'-'; LONGEST];
        digits[..16].copy_from_slice(prefix);
        digits[17..LONGEST - first].copy_from_slice(&counted[first..]);
        Self::Made { digits, length: LONGEST - first }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Told(id) => id.as_bytes(),
            Self::Made { digits, length } => &digits[..*length],
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// As it is told. It comes only once: HTTP/2 is asked not to remember it, which costs more than saying it.
    pub(super) fn to_header(&self) -> HeaderValue {
        let mut id = match self {
            Self::Told(id) => id.clone(),
            Self::Made { .. } => HeaderValue::from_bytes(self.as_bytes()).unwrap_or(HeaderValue::from_static("0")),
        };
        id.set_sensitive(true);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_workers_part_and_a_count_without_zeroes_in_front() {
        for (count, counted) in [(0, "0"), (0x1f, "1f"), (u64::MAX, "ffffffffffffffff")] {
            let id = RequestId::made(b"00c0ffee00c0ffee", count);
            assert_eq!(id.as_str(), format!("00c0ffee00c0ffee-{counted}"));
            assert_eq!((id.to_header().as_bytes(), id.to_header().is_sensitive()), (id.as_bytes(), true));
        }
    }

    #[test]
    fn a_proxys_id_stays_as_it_is() {
        let told = RequestId::Told(HeaderValue::from_static("a.B-9_"));
        assert_eq!((told.as_str(), told.to_header()), ("a.B-9_", HeaderValue::from_static("a.B-9_")));
    }
}
