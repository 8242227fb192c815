//! Tells the frames of an HTTP/2 client apart as its bytes pass (RFC 9113, section 4.1), and judges none: that is h2's part.

/// What a client sends before its first frame (RFC 9113, section 3.4).
const PREFACE: usize = 24;
const HEAD: usize = 9;

/// The types that are told apart; anything else is [`Kind::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Reset,
    Settings,
    Other,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) flags: u8,
    /// Of the payload, padding included.
    pub(super) length: usize,
}

/// Where in the bytes of a client the next frame begins.
#[derive(Debug)]
pub(super) struct Frames {
    /// What has come of a head.
    head: [u8; HEAD],
    come: usize,
    /// What is still to come before the next head.
    skip: usize,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self { head: [0; HEAD], come: 0, skip: PREFACE }
    }

    /// Goes over bytes as they came, and over the head of each frame that begins in them.
    pub(super) fn each(&mut self, mut bytes: &[u8], mut found: impl FnMut(Head)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            let taken = (HEAD - self.come).min(bytes.len());
            self.head[self.come..self.come + taken].copy_from_slice(&bytes[..taken]);
            self.come += taken;
            bytes = &bytes[taken..];
            if self.come == HEAD {
                let head = Head::of(self.head);
                (self.come, self.skip) = (0, head.length);
                found(head);
            }
        }
    }
}

impl Head {
    fn of([high, middle, low, kind, flags, ..]: [u8; HEAD]) -> Self {
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::Headers,
            3 => Kind::Reset,
            4 => Kind::Settings,
            _ => Kind::Other,
        };
        Self { kind, flags, length: usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(parts: &[&[u8]]) -> Vec<(Kind, u8, usize)> {
        let (mut frames, mut found) = (Frames::new(), Vec::new());
        for part in parts {
            frames.each(part, |head| found.push((head.kind, head.flags, head.length)));
        }
        found
    }

    #[test]
    fn frames_are_found_behind_the_preface_however_they_are_cut() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
        bytes.extend([0, 1, 2, 0, 8, 0, 0, 0, 1]);
        bytes.extend([0xff; 258]);
        bytes.extend([0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8]);
        bytes.extend([0, 0, 0, 200, 0, 0, 0, 0, 0]);
        let expected = [(Kind::Settings, 0, 0), (Kind::Data, 8, 258), (Kind::Reset, 0, 4), (Kind::Other, 0, 0)];
        for size in [1, 2, 7, 9, 24, 33, 100, bytes.len()] {
            assert_eq!(found(&bytes.chunks(size).collect::<Vec<_>>()), expected, "cut into {size}");
        }
    }
}
