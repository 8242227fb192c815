//! What must hold whatever a server answers. Called by tests/fuzz, and by nobody else.

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

use super::response::{Head, Left, take_head};

/// An answer is the same wherever it is cut, holds no byte that did not come, and tells its end in one way.
pub fn answer(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let cut = usize::from(*cut).min(bytes.len());
    let (whole, parts) = (read(&[bytes]), read(&[&bytes[..cut], &bytes[cut..]]));
    assert_eq!(whole, parts, "cut at {cut}");
    assert!(whole.is_none_or(|(_, data)| data.len() < bytes.len()));
}

/// Status and data, as far as they came; `None` for what is no answer.
fn read(parts: &[&[u8]]) -> Option<(u16, Vec<u8>)> {
    let (mut received, mut head, mut data) = (BytesMut::new(), None, Vec::new());
    for part in parts {
        received.extend_from_slice(part);
        if head.is_none() {
            head = take_head(&mut received, false).ok()?;
            head.iter().for_each(judge);
        }
        match head.as_mut().map(|head| &mut head.left) {
            Some(Left::Chunks(chunks)) => {
                while let Some(frame) = chunks.take(&mut received).ok()? {
                    frame.into_data().iter().for_each(|bytes| data.extend_from_slice(bytes));
                }
            }
            Some(Left::Exactly(left)) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(received.len());
                *left -= here as u64;
                data.extend_from_slice(&received.split_to(here));
            }
            Some(Left::UntilClosed) => data.extend_from_slice(&received.split()),
            None => {}
        }
    }
    head.map(|head| (head.response.status().as_u16(), data))
}

fn judge(head: &Head) {
    let headers = head.response.headers();
    match head.left {
        Left::Chunks(_) => assert_eq!(headers.get_all(TRANSFER_ENCODING).iter().count(), 1),
        Left::UntilClosed => assert!(!head.persists && !headers.contains_key(CONTENT_LENGTH)),
        Left::Exactly(_) => {}
    }
}
