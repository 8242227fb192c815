//! Names of fields that HTTP/2 can carry and HTTP/1.1 cannot: refused before somebody reads them otherwise. Over HTTP/1.1 the socket side
//! and the parser have seen to it.

use http::HeaderMap;

use super::error::Refusal;

/// Lets fields pass whose names are tokens (RFC 9110, section 5.1).
///
/// # Errors
/// [`Refusal::Ambiguous`] for any other.
pub(crate) fn judge(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.keys().all(|name| is_token(name.as_str())) {
        true => Ok(()),
        false => Err(Refusal::Ambiguous("A header name is malformed")),
    }
}

/// The type of names lets one byte pass that no token holds.
fn is_token(name: &str) -> bool {
    !name.contains('"')
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    #[test]
    fn every_name_that_passes_is_a_token() {
        let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        for byte in 0..=u8::MAX {
            let passes = HeaderName::from_bytes(&[b'a', byte]).is_ok_and(|name| is_token(name.as_str()));
            assert_eq!(passes, is_tchar(byte), "{byte}");
        }
    }
}
