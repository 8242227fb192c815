//! What an HTTP/2 client may have us read without asking for anything. h2 answers PING and SETTINGS for ever to a client that
//! reads the answers, and a cancelled request is the cheapest of all to send (CVE-2023-44487).

use tokio::time::Instant;

use super::frames::{Frames, Head, Kind};

/// What a frame costs that carries no request, and how much of an answer pays for it: who downloads must open windows.
const FRAME: i64 = 64;
/// A cancelled request is work that was begun; new settings are applied to every stream.
const DEAR: i64 = 4 * FRAME;
/// The end of a body, which needn't hold anything: less than the smallest answer to a request, so that whoever asks pays with that, and
/// who ends for ever what has long ended doesn't.
const LAST: i64 = 24;
/// What a client begins with.
const FIRST: i64 = 2_000 * FRAME;
/// What it can save up by reading answers: a batch of windows after a large one was filled.
const MOST: i64 = 20_000 * FRAME;
/// What it gets back each second.
const EACH_SECOND: i64 = 100 * FRAME;

/// Flags of DATA.
const END_STREAM: u8 = 0x1;
const PADDED: u8 = 0x8;

/// The credit of one client, in bytes.
#[derive(Debug)]
pub(super) struct Allowance {
    frames: Frames,
    credit: i64,
    /// When it last got back what time gives.
    since: Instant,
}

impl Allowance {
    pub(super) fn new() -> Self {
        Self { frames: Frames::new(), credit: FIRST, since: Instant::now() }
    }

    /// The client took bytes.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_add_unsigned(bytes as u64).min(MOST);
    }

    /// Bytes came; false when there are too many frames in them. The clock is read only when all credit is spent.
    pub(super) fn allows(&mut self, bytes: &[u8]) -> bool {
        let credit = &mut self.credit;
        self.frames.each(bytes, |head| *credit -= cost(head));
        self.credit >= 0 || self.recovers()
    }

    fn recovers(&mut self) -> bool {
        let now = Instant::now();
        let millis = i64::try_from((now - self.since).as_millis()).unwrap_or(i64::MAX);
        self.credit = self.credit.saturating_add(millis.saturating_mul(EACH_SECOND) / 1000).min(FIRST);
        self.since = now;
        self.credit >= 0
    }
}

/// HEADERS cost nothing: a request has bounds of its own. DATA costs where it may be empty (RUSTSEC-2026-0258); h2 counts it too.
fn cost(head: Head) -> i64 {
    match head.kind {
        Kind::Headers => 0,
        Kind::Data if head.flags & END_STREAM != 0 => (LAST - head.length as i64).max(0),
        Kind::Data if head.length == 0 || head.flags & PADDED != 0 => (FRAME - head.length as i64).max(0),
        Kind::Data => 0,
        Kind::Reset | Kind::Settings => DEAR,
        Kind::Other => FRAME,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    /// How many times a client may send the same bytes.
    fn times(allowance: &mut Allowance, bytes: &[u8]) -> usize {
        (0..100_000).take_while(|_| allowance.allows(bytes)).count()
    }

    fn begun() -> Allowance {
        let mut allowance = Allowance::new();
        assert!(allowance.allows(PREFACE));
        allowance
    }

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_ask_for_nothing_are_allowed_so_many_and_then_so_many_a_second() {
        for (bytes, cost) in [
            (frame(6, 0, &[0; 8]), 64),
            (frame(8, 0, &[0, 0, 0, 1]), 64),
            (frame(0, 0, &[]), 64),
            (frame(0, 1, &[]), 24),
            (frame(99, 0, &[]), 64),
            (frame(4, 0, &[]), 256),
            (frame(3, 0, &[0, 0, 0, 8]), 256),
        ] {
            let (mut allowance, first) = (begun(), 128_000 / cost);
            assert_eq!(times(&mut allowance, &bytes), first, "{bytes:?}");
            tokio::time::advance(Duration::from_secs(10)).await;
            assert!(times(&mut allowance, &bytes).abs_diff(64_000 / cost) <= 1, "{bytes:?}");
            tokio::time::advance(Duration::from_secs(1_000)).await;
            assert!(times(&mut allowance, &bytes) <= first + 1, "{bytes:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_and_bodies_cost_nothing_and_who_reads_answers_opens_windows_freely() {
        let mut allowance = begun();
        let (request, body) = (frame(1, 5, &[0x82; 4]), frame(0, 0, b"x"));
        assert_eq!(times(&mut allowance, &[request, body].concat()), 100_000);
        let end = frame(0, 1, &[]);
        for _ in 0..100_000 {
            allowance.sent(LAST as usize);
            assert!(allowance.allows(&end), "an answer pays for the end of its request");
        }
        for _ in 0..100_000 {
            allowance.sent(2 * FRAME as usize);
            assert!(allowance.allows(&[frame(8, 0, &[0, 0, 0, 1]), frame(6, 0, &[0; 8])].concat()));
        }
        for _ in 0..100 {
            allowance.sent(1 << 30);
        }
        assert_eq!(times(&mut allowance, &frame(6, 0, &[0; 8])), 20_000);
    }
}
