//! What must hold whatever bytes begin a connection. Called by tests/fuzz, and by nobody else.

mod messages;

use std::net::IpAddr;

use tokio::io::AsyncReadExt as _;

use super::announced::{self, Announced, LONGEST, Progress};
use super::preface;

pub use messages::messages;

/// A header ends where it ends, however much of it has come, and says what it would say if it were written anew.
pub fn announced(bytes: &[u8]) {
    let Ok(progress) = announced::read(bytes) else { return };
    let Progress::Whole(length, announced) = progress else {
        assert!(bytes.len() < LONGEST);
        return;
    };
    assert!(length <= bytes.len() && length <= LONGEST);
    assert_eq!(announced::read(&bytes[..length]), Ok(progress));
    assert!((0..length).all(|end| announced::read(&bytes[..end]) == Ok(Progress::Partial)));
    if let Announced { client: Some(client), .. } = announced {
        let (family, ip) = (if client.is_ipv4() { "TCP4" } else { "TCP6" }, client.ip());
        let written = format!("PROXY {family} {ip} {ip} {} 1\r\n", client.port());
        let Ok(Progress::Whole(whole, again)) = announced::read(written.as_bytes()) else { panic!("{written}") };
        assert_eq!((whole, again.client), (written.len(), Some(client)));
        assert!(matches!(ip, IpAddr::V4(_)) || bytes.starts_with(b"PROXY TCP6") || bytes[13] == 0x21);
    }
}

/// Whatever it is taken for, every byte is still there to be read, once and in order.
pub fn preface(bytes: &[u8]) {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let Some((piece, stream)) = bytes.split_first() else { return };
    let (first, second) = stream.split_at(usize::from(*piece).min(stream.len()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime
        .block_on(async {
            let (speaks_http2, mut replayed) = preface::tell(first.chain(second).chain(tokio::io::empty())).await?;
            let mut read = Vec::new();
            replayed.read_to_end(&mut read).await?;
            assert_eq!((speaks_http2, read.as_slice()), (stream.starts_with(PREFACE), stream));
            Ok::<_, std::io::Error>(())
        })
        .expect("memory can be read");
}
