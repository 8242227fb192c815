//! How long a request's body is, said once and in the one way that both sides read alike (RFC 9112, section 6).

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

use super::error::Refusal;

/// Lets `chunked` alone pass, and one length. What contradicts itself never gets here: hyper refuses it.
///
/// # Errors
/// [`Refusal::NotImplemented`] for other codings, which would be lost on the way; [`Refusal::Ambiguous`] for a repeated length.
pub(crate) fn judge(headers: &HeaderMap) -> Result<(), Refusal> {
    if !is_plain(headers) {
        return Err(Refusal::NotImplemented("Only the chunked transfer coding is known"));
    }
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

    fn refused(lines: &[(http::HeaderName, &'static str)]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_static(value));
        }
        judge(&headers).err().map(|refusal| refusal.label())
    }

    #[test]
    fn a_length_is_said_once_and_chunked_is_the_only_coding() {
        assert_eq!(refused(&[]), None);
        assert_eq!(refused(&[(CONTENT_LENGTH, "1")]), None);
        assert_eq!(refused(&[(TRANSFER_ENCODING, "Chunked ")]), None);
        assert_eq!(refused(&[(CONTENT_LENGTH, "1"), (CONTENT_LENGTH, "1")]), Some("ambiguous"));
        for codings in [&["gzip, chunked"][..], &["gzip", "chunked"], &["chunked", "chunked"], &["identity"], &[""]] {
            let lines: Vec<_> = codings.iter().map(|coding| (TRANSFER_ENCODING, *coding)).collect();
            assert_eq!(refused(&lines), Some("not_implemented"), "{codings:?}");
        }
    }
}
