//! WebSockets through the gateway: the handshake in raw bytes, the frames by tungstenite.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, frame::coding::CloseCode};

use super::client::Io;
use super::{Answer, Connection, within};

/// The handshake of RFC 6455, section 4.
pub(crate) mod upgrade {
    use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

    use crate::harness::Fields;

    /// A client's handshake with more header lines, each ended by CRLF.
    pub(crate) fn request(target: &str, lines: &str) -> String {
        format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
        )
    }

    /// The right 101 for a handshake.
    pub(crate) fn accepted(request: &Fields) -> String {
        let key = request.one("sec-websocket-key").unwrap_or_default();
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        )
    }
}

/// What a peer heard.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Text(String),
    Close(u16),
    /// The connection ended without a close frame.
    Cut,
}

/// An open WebSocket.
pub(crate) struct WebSocket(WebSocketStream<Box<dyn Io>>);

impl WebSocket {
    /// Opens one, or gives back the answer that refused it.
    pub(crate) async fn open(mut connection: Connection, target: &str, lines: &str) -> Result<Self, Answer> {
        let answer = connection.request(upgrade::request(target, lines)).await;
        if answer.status == 101 { Ok(Self::over(connection).await) } else { Err(answer) }
    }

    /// Over a connection whose handshake is done.
    pub(crate) async fn over(connection: Connection) -> Self {
        let (io, read) = connection.into_parts();
        Self(WebSocketStream::from_partially_read(io, read, Role::Client, None).await)
    }

    pub(crate) async fn say(&mut self, text: &str) {
        within("sending a frame", self.0.send(Message::text(text))).await.expect("an open socket");
    }

    /// The next frame that says something.
    pub(crate) async fn hear(&mut self) -> Frame {
        loop {
            match within("a frame", self.0.next()).await {
                Some(Ok(Message::Text(text))) => return Frame::Text(text.to_string()),
                Some(Ok(Message::Close(Some(close)))) => return Frame::Close(close.code.into()),
                Some(Ok(Message::Close(None))) => return Frame::Close(CloseCode::Status.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Frame::Cut,
            }
        }
    }
}
