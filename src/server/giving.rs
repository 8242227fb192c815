//! What is known of an answer while it is given: whether its client takes it, and until when it may be given.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::gateway::Term;

/// Shared by an answer's body and by whoever drives it: the connection on HTTP/1.1, the stream on HTTP/2.
#[derive(Debug, Default)]
pub(crate) struct Giving {
    /// Whether anybody asks for `offered`; on HTTP/1.1 the socket knows.
    paced: bool,
    /// Whether the client has a part of the answer to read.
    offered: Cell<Offered>,
    given_up: Cell<bool>,
    watch: RefCell<Watch>,
}

/// The clock is read when somebody asks: most of what is offered is taken by then.
#[derive(Clone, Copy, Debug, Default)]
enum Offered {
    #[default]
    Nothing,
    JustNow,
    Since(Instant),
}

/// A short answer begins and ends as [`Watch::Young`]: nothing is allocated, registered or timed for it.
#[derive(Default)]
enum Watch {
    /// No answer is given, or one without end.
    #[default]
    Off,
    Young(Term),
    Old(Pin<Box<dyn Future<Output = ()>>>),
}

impl Giving {
    /// On HTTP/2, where a client may take one answer and leave the next.
    pub(crate) fn paced() -> Self {
        Self { paced: true, ..Self::default() }
    }

    /// The head of an answer is handed over.
    pub(crate) fn begin(&self, term: Option<Term>) {
        *self.watch.borrow_mut() = term.map_or(Watch::Off, Watch::Young);
    }

    /// A part of the answer is handed over.
    pub(crate) fn offer(&self) {
        if self.paced {
            self.offered.set(Offered::JustNow);
        }
    }

    /// The answer's body is asked for more: the client took what it was offered.
    pub(crate) fn took(&self) {
        self.offered.set(Offered::Nothing);
    }

    /// The last part was handed over.
    pub(crate) fn end(&self) {
        *self.watch.borrow_mut() = Watch::Off;
    }

    /// When the client will have left what it was offered for too long; to be asked after each poll of the stream.
    pub(crate) fn overdue(&self, patience: Duration) -> Option<Instant> {
        let since = match self.offered.get() {
            Offered::Nothing => return None,
            Offered::JustNow => Instant::now(),
            Offered::Since(since) => since,
        };
        self.offered.set(Offered::Since(since));
        Some(since + patience)
    }

    /// The client left what it was offered for too long.
    pub(crate) fn give_up(&self) {
        self.given_up.set(true);
    }

    /// Whether the answer ends because its client does not read it.
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.get()
    }

    /// When the answer will be old enough for [`Giving::watch`].
    pub(crate) fn watched_from(&self) -> Option<Instant> {
        match &*self.watch.borrow() {
            Watch::Young(term) => Some(term.watched_from()),
            Watch::Off | Watch::Old(_) => None,
        }
    }

    /// From now on [`Giving::poll_over`] looks for the end of the term.
    pub(crate) fn watch(&self) {
        let mut watch = self.watch.borrow_mut();
        if let Watch::Young(term) = std::mem::take(&mut *watch) {
            *watch = Watch::Old(Box::pin(term.over()));
        }
    }

    /// Ready when the answer may be given no longer.
    pub(crate) fn poll_over(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self.watch.borrow_mut() {
            Watch::Old(over) => over.as_mut().poll(cx),
            Watch::Off | Watch::Young(_) => Poll::Pending,
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "Off",
            Self::Young(_) => "Young",
            Self::Old(_) => "Old",
        })
    }
}
