//! Whether a request may pass: the client's certificate first, then the pair that it presents.

use http::Request;

use super::Gateway;
use super::credentials::{self, Presented};
use super::error::Refusal;
use super::record::Record;
use super::routes::Forward;
use crate::auth::{self, Access, Admission, Denied};
use crate::clock::BootTime;

impl Gateway {
    /// The proof that this request may pass, and the pair that got it; on public routes no pair is looked at.
    pub(super) fn admit<'a, B>(
        &self,
        record: &Record,
        route: &Forward,
        request: &'a Request<B>,
    ) -> Result<(Admission, Option<Presented<'a>>), Refusal> {
        if !route.takes_client(record.peer.client.as_deref()) {
            return Err(Refusal::WrongClient);
        }
        let (access, presented) = if route.public {
            (Access::Public, None)
        } else {
            let presented = credentials::present(request.headers(), record.uri.query(), route.sources());
            (Access::Session { roles: &route.roles }, presented)
        };
        let pair = presented.as_ref().map(Presented::pair);
        let admitted = auth::admit(&self.sessions, access, pair, BootTime::now());
        if let Some(session) = admitted.as_ref().map_or_else(Denied::session, Admission::session) {
            record.asked_by(session.user());
        }
        Ok((admitted?, presented))
    }
}
