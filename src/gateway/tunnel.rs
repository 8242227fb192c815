//! The answer that opens a tunnel, and the task in which bytes pass from then on until the gateway has a reason to end it.

use http::header::{CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT};
use http::{Response, StatusCode};
use tokio_util::sync::CancellationToken;

use super::Worker;
use super::body::Body;
use super::error::Refusal;
use super::forward::Going;
use super::term::Term;
use super::upgrade::{self, Handshake};
use crate::panics::Witness;
use crate::upstream::headers::strip_hop_by_hop;
use crate::upstream::{Answered, Tunnel};

impl Worker {
    /// Answers 101, or 200 to an extended CONNECT, and passes bytes from then on, in a task that keeps the client's place among
    /// the connections.
    pub(crate) fn tunnel(
        &self,
        mut answered: Answered,
        handshake: Handshake,
        going: &Going<'_>,
    ) -> Result<Response<Body>, Refusal> {
        if !handshake.is_granted(&answered.response) {
            return Err(Refusal::BadSwitch);
        }
        let response = switched(&mut answered, &handshake, going);
        let upstream = answered.into_far_end();
        let (record, ending, over) = (going.record.clone(), self.ending.clone(), handshake.over.clone());
        let term = Term::new(going.admission.clone(), record.clone());
        let (idle_timeout, patience) = (self.gateway.limits.tunnel_idle_timeout, self.gateway.limits.body_idle_timeout);
        self.tunnels.spawn_local(async move {
            let _witness = Witness::of("tunnel", Some(record.peer.address));
            let _over = over.map(CancellationToken::drop_guard);
            if let Ok(downstream) = handshake.downstream.await {
                let tunnel = Tunnel { downstream, upstream, idle_timeout, patience };
                record.tunnelled(&tunnel.run(told(ending, term)).await);
            }
        });
        Ok(response)
    }
}

/// The upstream's 101 as the client gets it.
fn switched(answered: &mut Answered, handshake: &Handshake, going: &Going<'_>) -> Response<Body> {
    let mut headers = std::mem::take(answered.response.headers_mut());
    strip_hop_by_hop(&mut headers);
    going.give_back(&mut headers);
    let mut response = Response::new(Body::full(""));
    match &handshake.over {
        None => {
            upgrade::ask(&mut headers);
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        }
        // RFC 8441, section 5: it is the status that grants the tunnel.
        Some(over) => {
            for name in [CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT] {
                headers.remove(name);
            }
            response.body_mut().opens(over.clone());
        }
    }
    *response.headers_mut() = headers;
    response
}

/// The close code with which the gateway ends a tunnel, once it has a reason to (RFC 6455, section 7.4.1).
async fn told(ending: CancellationToken, term: Term) -> u16 {
    const GOING_AWAY: u16 = 1001;
    const POLICY_VIOLATION: u16 = 1008;
    tokio::select! {
        () = term.over() => POLICY_VIOLATION,
        () = ending.cancelled() => GOING_AWAY,
    }
}
