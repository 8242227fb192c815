//! Until when an answer may be given: as long as the session lives whose pair was presented.

use std::rc::Rc;

use tokio::time::Instant;

use super::record::Record;
use crate::auth::Admission;

/// The term of one answer or tunnel. Nothing is registered anywhere until [`Term::over`] is polled.
#[derive(Debug)]
pub struct Term {
    admission: Admission,
    record: Rc<Record>,
}

impl Term {
    pub(crate) fn new(admission: Admission, record: Rc<Record>) -> Self {
        Self { admission, record }
    }

    /// Since when the exchange is old enough to be watched. Nearly all are over by then.
    pub fn watched_from(&self) -> Instant {
        self.record.started + Admission::UNWATCHED
    }

    /// Waits until it is over; the access line will say so.
    pub async fn over(self) {
        self.admission.over().await;
        self.record.cut_by_session();
    }
}
