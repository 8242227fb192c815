//! How a connection begins, before any HTTP: a proxy announces the client, then TLS. One deadline for all of it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::activity::Activity;
use super::connection::{BUFFER, Serving};
use super::ended::Ended;
use super::listener::Door;
use super::proxied;
use super::records::Records;
use super::socket::Connected;
use crate::gateway::{Peer, TooMany};

/// A connection that is ready for HTTP.
#[derive(Debug)]
pub(crate) enum Opened {
    Plain(Connected),
    Tls(Box<TlsStream<Records>>),
}

impl Serving {
    /// Opens a connection within `handshake_timeout`, unless its place is needed meanwhile; `peer` learns who that is.
    pub(super) async fn open(
        &mut self,
        (stream, door): (Connected, &Door),
        peer: &mut Peer,
        activity: &Activity,
    ) -> Result<Opened, Ended> {
        let patience = self.limits.handshake_timeout;
        let opening = timeout(patience, self.shake_hands((stream, door), peer));
        let opened = unless_asked_to_leave(activity, opening).await?.map_err(|_| Ended::SlowHandshake)?;
        activity.opened();
        opened
    }

    async fn shake_hands(&mut self, (mut stream, door): (Connected, &Door), peer: &mut Peer) -> Result<Opened, Ended> {
        if door.proxy_protocol {
            self.hear_proxy(&mut stream, peer).await?;
        }
        let Some(tls) = &door.tls else { return Ok(Opened::Plain(stream)) };
        let tls = tls.current();
        let accepting = TlsAcceptor::from(tls.config.clone()).accept(Records::new(stream));
        let mut stream = accepting.await.map_err(Ended::in_handshake)?;
        let (records, session) = stream.get_mut();
        records.opened();
        session.set_buffer_limit(Some(BUFFER));
        peer.tls = true;
        peer.sni = session.server_name().map(Box::from);
        peer.client = tls.client(session).map_err(Ended::WrongCertificate)?;
        if session.peer_certificates().is_some() {
            // It ends when its certificate is no longer believed as well.
            self.closing = tls.trusted.clone();
        }
        Ok(Opened::Tls(Box::new(stream)))
    }

    /// Takes a trusted proxy's word for who the peer is.
    async fn hear_proxy(&self, stream: &mut Connected, peer: &mut Peer) -> Result<(), Ended> {
        if !self.peers.trusts(peer.address.ip()) {
            return Err(Ended::Untrusted);
        }
        let announced = proxied::read(stream).await?;
        peer.tls = announced.tls;
        peer.unnamed = announced.client.is_none();
        peer.address = announced.client.unwrap_or(peer.address);
        let counted = self.peers.count(peer.address.ip()).map_err(|TooMany| Ended::Crowded)?;
        peer.seat = peer.seat.take().map(|seat| seat.counted(counted));
        Ok(())
    }
}

/// Waits for the opening of a connection whose place nobody needs.
pub(super) async fn unless_asked_to_leave<T>(
    activity: &Activity,
    opening: impl Future<Output = T>,
) -> Result<T, Ended> {
    let mut opening = pin!(opening);
    poll_fn(|cx| {
        activity.driven_by(cx.waker());
        if activity.leaves() {
            return Poll::Ready(Err(Ended::MadeRoom));
        }
        opening.as_mut().poll(cx).map(Ok)
    })
    .await
}
