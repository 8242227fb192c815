//! Live pairs, from the gateway's own /login.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use super::Target;
use super::client::{Dialer, Protocol, Sender};

/// Who logs in and how often.
#[derive(clap::Args)]
pub(crate) struct Logins {
    #[command(flatten)]
    target: Target,
    /// Users are called `0@bench`, `1@bench` and so on; the password is `bench`.
    #[arg(long, default_value_t = 20)]
    users: usize,
    /// Sessions of each.
    #[arg(long, default_value_t = 50)]
    sessions: usize,
}

pub(crate) async fn run(logins: Logins) {
    let dialer = Dialer::new(&logins.target, Protocol::H1, false);
    let Ok(Sender::H1(mut sender)) = dialer.open().await else { panic!("no connection") };
    for number in 0..logins.users * logins.sessions {
        let body = json!({ "username": format!("{}@bench", number % logins.users), "password": "bench" }).to_string();
        let request = Request::post("/login").header("host", "localhost").header("content-type", "application/json");
        sender.ready().await.unwrap();
        let answer = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
        let answer = answer.into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{answer}"));
        println!("{} {}", text("key"), text("token"));
    }
}
