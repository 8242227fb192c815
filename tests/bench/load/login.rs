//! Live pairs, from the gateway's own /login.

use serde_json::{Value, json};

use super::Target;
use super::client::{Dialer, Protocol, Sender};
use super::requests::head;

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
    let Ok(Sender::H1(mut connection)) = dialer.open().await else { panic!("no connection") };
    for number in 0..logins.users * logins.sessions {
        let body = json!({ "username": format!("{}@bench", number % logins.users), "password": "bench" }).to_string();
        let body = body.into();
        connection.exchange(&head("/login", "", &body), &body).await.unwrap();
        let answer: Value = serde_json::from_slice(connection.answer()).unwrap();
        let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{answer}"));
        println!("{} {}", text("key"), text("token"));
    }
}
