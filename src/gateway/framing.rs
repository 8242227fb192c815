//! How long a request's body is, said once and in the one way that both sides read alike (RFC 9112, section 6).

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

use super::error::Refusal;

/// Lets one length pass. On HTTP/1.1 the socket side has seen to that and more; on HTTP/2 there are no codings.
///
/// # Errors
/// [`Refusal::Ambiguous`] for a repeated length.
pub(crate) fn judge(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(Refusal::Ambiguous("The Content-Length header is repeated"));
    }
    Ok(())
}

/// Whether a message is sent as it is, or in chunks.
pub(crate) fn is_plain(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(lines: &[(http::HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_length_is_said_once() {
        assert!(judge(&headers(&[])).is_ok() && judge(&headers(&[(CONTENT_LENGTH, "1")])).is_ok());
        assert!(judge(&headers(&[(CONTENT_LENGTH, "1"), (CONTENT_LENGTH, "1")])).is_err());
    }

    #[test]
    fn chunked_is_the_only_coding() {
        assert!(is_plain(&headers(&[])) && is_plain(&headers(&[(TRANSFER_ENCODING, "Chunked ")])));
        for codings in [&["gzip, chunked"][..], &["gzip", "chunked"], &["chunked", "chunked"], &["identity"], &[""]] {
            let lines: Vec<_> = codings.iter().map(|coding| (TRANSFER_ENCODING, *coding)).collect();
            assert!(!is_plain(&headers(&lines)), "{codings:?}");
        }
    }
}
