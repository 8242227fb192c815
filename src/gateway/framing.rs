//! How long a request's body is, said once and in the one way that both sides read alike (RFC 9112, section 6).

use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use super::error::Refusal;

/// Lets one length pass. On HTTP/1.1 the socket side has seen to that and more; on HTTP/2 there are no codings.
///
/// # Errors
/// [`Refusal::Ambiguous`] for a length that is repeated or no number.
pub(crate) fn judge(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(()),
        (Some(length), None) if is_number(length.as_bytes()) => Ok(()),
        (Some(_), None) => Err(Refusal::Ambiguous("The Content-Length header is no number")),
        (Some(_), Some(_)) => Err(Refusal::Ambiguous("The Content-Length header is repeated")),
    }
}

/// h2 takes an empty length for 0, and others take it for none.
fn is_number(length: &[u8]) -> bool {
    !length.is_empty() && length.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(lines: &[(http::HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_length_is_said_once_and_is_a_number() {
        assert!(judge(&headers(&[])).is_ok() && judge(&headers(&[(CONTENT_LENGTH, "1")])).is_ok());
        assert!(judge(&headers(&[(CONTENT_LENGTH, "1"), (CONTENT_LENGTH, "1")])).is_err());
        for length in ["", " ", "+1", "-1", "1,1", "1 1", "0x1"] {
            assert!(judge(&headers(&[(CONTENT_LENGTH, length)])).is_err(), "{length:?}");
        }
    }
}
