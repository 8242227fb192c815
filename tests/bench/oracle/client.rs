//! A client that logs in with a wrong password over one kept connection and takes the time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// The status of the answer, and how long it took to its last byte.
    pub(crate) fn log_in(&mut self, name: &str) -> (u16, Duration) {
        let body = format!("{:<80}", serde_json::json!({ "username": name, "password": "wrong" }).to_string());
        let head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        let start = Instant::now();
        self.0.write_all(request.as_bytes()).unwrap();
        let answer = self.read();
        let took = start.elapsed();
        (answer.split(' ').nth(1).unwrap().parse().unwrap(), took)
    }

    fn read(&mut self) -> String {
        let (mut answer, mut part) = (Vec::new(), [0; 4096]);
        loop {
            let read = self.0.read(&mut part).unwrap();
            assert!(read > 0, "the gateway hung up");
            answer.extend_from_slice(&part[..read]);
            let text = String::from_utf8_lossy(&answer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length =
                head.to_ascii_lowercase().split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse();
            if body.len() >= length.unwrap() {
                return text.into_owned();
            }
        }
    }
}
