//! WebSocket on the wire (RFC 6455): the handshake's proof, and where one frame ends and the next begins.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use uuid::Uuid;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What `Sec-WebSocket-Accept` must say to this `Sec-WebSocket-Key` (section 4.2.2).
pub(crate) fn accept(key: &[u8]) -> String {
    let mut sha1 = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    sha1.update(key);
    sha1.update(GUID);
    STANDARD.encode(sha1.finish())
}

/// A key of the gateway's own. It needs no secret randomness: it proves that a server has read this handshake, and nothing else.
pub(crate) fn new_key() -> HeaderValue {
    let key = STANDARD.encode(Uuid::new_v4().as_bytes());
    HeaderValue::from_str(&key).expect("base64 is visible ASCII")
}

/// Whether a key is 16 bytes in base64 (section 4.1).
pub(crate) fn is_key(key: &[u8]) -> bool {
    STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

/// An unmasked close frame with a status code (section 5.5.1).
pub(crate) fn close_frame(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [0x88, 2, high, low]
}

/// Follows a stream of frames without looking at what they say.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    header: [u8; 14],
    have: usize,
    payload: u64,
}

impl Frames {
    /// Whether the last byte seen was the last of a frame, so that another frame may be put in.
    pub(crate) fn are_whole(&self) -> bool {
        self.have == 0 && self.payload == 0
    }

    /// Sees the next bytes of the stream.
    pub(crate) fn see(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let skipped = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                self.payload -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            self.header[self.have] = bytes[0];
            self.have += 1;
            bytes = &bytes[1..];
            if self.have == self.header_length() {
                self.payload = self.payload_length();
                self.have = 0;
            }
        }
    }

    /// Section 5.2: two bytes, the extended length, the mask.
    fn header_length(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let extended = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + extended + if self.header[1] & 0x80 == 0 { 0 } else { 4 }
    }

    fn payload_length(&self) -> u64 {
        let extended = |bytes: &[u8]| bytes.iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
        match self.header[1] & 0x7f {
            126 => extended(&self.header[2..4]),
            127 => extended(&self.header[2..10]),
            short => u64::from(short),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_accept_value_of_the_standard() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ==") && !is_key(b"c2hvcnQ=") && !is_key(b"%"));
    }

    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match length {
            0..=125 => frame.push(mask | length as u8),
            126..=0xffff => {
                frame.push(mask | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(vec![7; length + if masked { 4 } else { 0 }]);
        frame
    }

    proptest! {
        #[test]
        fn frames_are_whole_exactly_at_their_ends(
            sizes in proptest::collection::vec((prop_oneof![0usize..200, 65_530usize..65_540], any::<bool>()), 1..4),
            cut in 1usize..5_000,
        ) {
            let mut ends = vec![0];
            let mut stream = Vec::new();
            for (length, masked) in sizes {
                stream.extend(frame(length, masked));
                ends.push(stream.len());
            }
            let mut frames = Frames::default();
            for (at, chunk) in stream.chunks(cut).enumerate() {
                frames.see(chunk);
                prop_assert_eq!(frames.are_whole(), ends.contains(&(at * cut + chunk.len())));
            }
        }
    }
}
