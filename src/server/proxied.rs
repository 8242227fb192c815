//! Reads what a proxy announces off a fresh connection, and not one byte more.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncReadExt as _, Interest};
use tokio_util::either::Either;

use super::announced::{self, Announced, Garbage, LONGEST, Progress};
use super::socket::Connected;

/// Room for every header without long remarks.
const USUAL: usize = 256;

/// Why nothing was announced.
#[derive(Debug)]
pub(crate) enum Unannounced {
    Io(io::Error),
    /// The peer hung up without a byte, as health checks do.
    Silent,
    Garbage,
}

/// Waits for the whole header.
///
/// # Errors
/// When the connection ends before, or begins with anything else.
pub(crate) async fn read(stream: &mut Connected) -> Result<Announced, Unannounced> {
    let (mut buffer, mut taken) = (vec![0; USUAL], 0);
    loop {
        // Bytes are looked at before they are taken, since those behind the header are not the header's.
        let seen = match peek(stream, &mut buffer[taken..]).await? {
            0 if taken == 0 => return Err(Unannounced::Silent),
            0 => return Err(Unannounced::Io(io::ErrorKind::UnexpectedEof.into())),
            more => taken + more,
        };
        let (end, announced) = match announced::read(&buffer[..seen])? {
            Progress::Partial => (seen, None),
            Progress::Whole(length, announced) => (length, Some(announced)),
        };
        stream.read_exact(&mut buffer[taken..end]).await?;
        if let Some(announced) = announced {
            return Ok(announced);
        }
        taken = end;
        if taken == buffer.len() {
            buffer.resize(LONGEST, 0);
        }
    }
}

async fn peek(stream: &Connected, buffer: &mut [u8]) -> io::Result<usize> {
    let mut look = |socket: BorrowedFd<'_>| Ok(recv(socket, &mut *buffer, RecvFlags::PEEK)?.0);
    match stream {
        Either::Left(stream) => stream.async_io(Interest::READABLE, || look(stream.as_fd())).await,
        Either::Right(stream) => stream.async_io(Interest::READABLE, || look(stream.as_fd())).await,
    }
}

impl From<io::Error> for Unannounced {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Garbage> for Unannounced {
    fn from(_: Garbage) -> Self {
        Self::Garbage
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream, UnixStream};

    use super::*;

    const HEADER: &[u8] = b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n";

    async fn tcp() -> (TcpStream, Connected) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, Either::Left(listener.accept().await.unwrap().0))
    }

    #[tokio::test]
    async fn what_follows_the_header_is_left_where_it_is() {
        let (mut client, mut server) = tcp().await;
        client.write_all(&[HEADER, b"PROXY again\r\n"].concat()).await.unwrap();
        assert_eq!(read(&mut server).await.unwrap().client.unwrap().to_string(), "1.2.3.4:9");
        let mut rest = [0; 13];
        server.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"PROXY again\r\n");
    }

    #[tokio::test]
    async fn a_header_may_come_byte_by_byte_over_a_unix_socket_too() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let writing = tokio::spawn(async move {
            for byte in [HEADER, b"x"].concat() {
                client.write_all(&[byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut server = Either::Right(server);
        assert!(read(&mut server).await.unwrap().client.is_some());
        assert_eq!(server.read_u8().await.unwrap(), b'x');
        writing.await.unwrap();
    }

    #[tokio::test]
    async fn long_remarks_are_read_to_their_end() {
        let (mut client, mut server) = tcp().await;
        let remark = vec![0; LONGEST - 16 - 12 - 3];
        let length = u16::try_from(LONGEST - 16).unwrap().to_be_bytes();
        let remarks = [&[0xe0], &u16::try_from(remark.len()).unwrap().to_be_bytes()[..], &remark].concat();
        let header = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11", &length[..], &[1; 12], &remarks, b"x"].concat();
        client.write_all(&header).await.unwrap();
        assert_eq!(read(&mut server).await.unwrap().client.unwrap().to_string(), "1.1.1.1:257");
        assert_eq!(server.read_u8().await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn silence_breaking_off_and_garbage_are_told_apart() {
        for (sent, silent, garbage) in
            [(&b""[..], true, false), (b"PROXY TCP4", false, false), (b"\x16\x03\x01", false, true)]
        {
            let (mut client, mut server) = tcp().await;
            client.write_all(sent).await.unwrap();
            drop(client);
            let error = read(&mut server).await.unwrap_err();
            assert_eq!(matches!(error, Unannounced::Silent), silent, "{error:?}");
            assert_eq!(matches!(error, Unannounced::Garbage), garbage, "{error:?}");
        }
    }
}
