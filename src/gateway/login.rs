//! POST /login and POST /logout as the wire contract has them: bodies in, bodies out, nothing of how passwords are checked.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value, json};

use super::audit::{self, Trial};
use super::body::Body;
use super::credentials::{self, Presented};
use super::error::{Refusal, json_response};
use super::record::Record;
use super::{Gateway, Rules};
use crate::auth::{Issued, Now, Session};
use crate::clock::BootTime;
use crate::config::RoleNumbering;
use crate::directory::{Password, Role, canonical};

/// The most bytes a login may have.
const LOGIN_BYTES: usize = 16 * 1024;

impl Gateway {
    /// Verifies a name and a password and issues a session; leaves an audit line however it ends.
    pub(crate) async fn login(
        &self,
        record: &Rc<Record>,
        request: &mut Request<Option<Incoming>>,
    ) -> Result<Response<Body>, Refusal> {
        let mut trial = Trial::begin(self, record);
        match self.enter(record, request, &mut trial).await {
            Ok((session, welcome)) => {
                trial.passed(&session);
                Ok(json_response(StatusCode::OK, &welcome))
            }
            Err(refusal) => {
                trial.refused(&refusal);
                Err(refusal)
            }
        }
    }

    /// Where a reload overtakes the check, it is done again by the new rules: the user or the secret may be gone, and the reload
    /// can't end a session that is not there yet.
    async fn enter(
        &self,
        record: &Record,
        request: &mut Request<Option<Incoming>>,
        trial: &mut Trial<'_>,
    ) -> Result<(Arc<Session>, Value), Refusal> {
        self.audit.room().await?;
        let bytes = read_login(record, request, self.limits.header_timeout).await?;
        let Login { username, password } = Login::parse(&bytes)?;
        drop(bytes);
        let (name, password) = (canonical(&username), Password::new(password));
        trial.claims(name.as_deref());
        let origin = record.client.origin(&record.rules.trusted_proxies);
        let mut attempt = self.throttle.begin(name.as_deref().unwrap_or(&username), origin, BootTime::now())?;
        loop {
            let rules = self.rules();
            let verified = rules.directories.verify(&username, password.clone()).await;
            attempt.ended(&verified);
            let principal = verified?;
            record.logged_in(&principal.name);
            let issued = self.sessions.issue(principal, &rules.ring, Now::read())?;
            if self.are_in_force(&rules) {
                let welcome = rules.welcome(username, &issued);
                return Ok((issued.session, welcome));
            }
            self.sessions.withdraw(&issued);
        }
    }

    /// Ends the session of the presented pair.
    pub(crate) fn logout(&self, record: &Record, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
        let revoke = |presented: Presented| {
            self.sessions.revoke(&presented.key, presented.token.as_bytes(), BootTime::now()).ok()
        };
        let ended = credentials::from_headers(headers).and_then(revoke);
        audit::logout(&self.audit, record, ended.as_deref());
        record.admitted(&ended.ok_or(Refusal::BadCaller)?);
        Ok(json_response(StatusCode::OK, &json!({ "status": "OK", "info": "Successful logout." })))
    }
}

impl Rules {
    /// The members of the contract in its order, then the user's attributes.
    fn welcome(&self, username: String, issued: &Issued) -> Value {
        let mut answer = Map::new();
        answer.insert("key".into(), issued.key.expose().into());
        answer.insert("username".into(), username.into());
        answer.insert("expires".into(), issued.expires_millis.into());
        answer.insert("token".into(), issued.token.expose().into());
        answer.insert("role".into(), number(issued.session.role(), self.role_numbering).into());
        answer.extend(issued.session.attributes().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())));
        Value::Object(answer)
    }
}

async fn read_login(
    record: &Record,
    request: &mut Request<Option<Incoming>>,
    patience: Duration,
) -> Result<BytesMut, Refusal> {
    let headers = request.headers();
    if !is_json(headers) {
        return Err(Refusal::NotJson);
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > LOGIN_BYTES as u64) {
        return Err(Refusal::BodyTooLarge);
    }
    let read = async {
        let mut bytes = BytesMut::new();
        let Some(body) = request.body_mut() else { return Ok(bytes) };
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Refusal::BodyBroken)?.into_data() else { continue };
            record.received(data.len());
            if bytes.len() + data.len() > LOGIN_BYTES {
                return Err(Refusal::BodyTooLarge);
            }
            bytes.put(data);
        }
        Ok(bytes)
    };
    tokio::time::timeout(patience, read).await.map_err(|_| Refusal::BodyStalled)?
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let essence = line.as_bytes().split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"application/json")
}

fn number(role: &Role, numbering: RoleNumbering) -> i8 {
    match (role, numbering) {
        (Role::Admin, _) => 1,
        (Role::Root, RoleNumbering::Contract) | (Role::User, RoleNumbering::Engine) => 0,
        (Role::User, RoleNumbering::Contract) | (Role::Root, RoleNumbering::Engine) => 2,
        (Role::Other(_), _) => -1,
    }
}

/// A name and a password as sent.
#[derive(Default)]
struct Login {
    username: String,
    password: String,
}

/// What the two members of a login held; `Err` when a member is there but not once and a string.
#[derive(Default)]
struct Members {
    username: Option<Value>,
    password: Option<Value>,
    repeated: bool,
}

impl Login {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(bytes).map_err(|_| Refusal::BadLogin("The body is not UTF-8"))?;
        let members: Members = serde_json::from_str(text).map_err(|error| {
            Refusal::BadLogin(if error.is_data() { "The body is not a JSON object" } else { "The body is not JSON" })
        })?;
        if members.repeated {
            return Err(Refusal::BadLogin("username or password is repeated"));
        }
        let string = |member: Option<Value>, complaint| match member {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(Refusal::BadLogin(complaint)),
        };
        Ok(Self {
            username: string(members.username, "username must be a string")?,
            password: string(members.password, "password must be a string")?,
        })
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Members::default();
        while let Some(name) = map.next_key::<String>()? {
            let member = match name.as_str() {
                "username" => &mut members.username,
                "password" => &mut members.password,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            members.repeated |= member.replace(map.next_value()?).is_some();
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(body: &[u8]) -> &'static str {
        Login::parse(body).map(|_| "").unwrap_or_else(|refusal| refusal.info())
    }

    #[test]
    fn a_login_is_an_object_with_two_strings() {
        let login = Login::parse(br#"{"x":[1],"password":"p","username":"u"}"#).unwrap();
        assert_eq!((login.username.as_str(), login.password.as_str()), ("u", "p"));
        assert_eq!(complaint(b"{}"), "");
        assert_eq!(complaint(br#"{"username":"a","username":"b"}"#), "username or password is repeated");
        assert_eq!(complaint(br#"{"username":null}"#), "username must be a string");
        assert_eq!(complaint(br#"{"password":1}"#), "password must be a string");
        assert_eq!(complaint(b"[]"), "The body is not a JSON object");
        assert_eq!(complaint(br#""x""#), "The body is not a JSON object");
        assert_eq!(complaint(b"{"), "The body is not JSON");
        assert_eq!(complaint(b"{} x"), "The body is not JSON");
        assert_eq!(complaint(b""), "The body is not JSON");
        assert_eq!(complaint(b"\"\xff\""), "The body is not UTF-8");
    }

    #[test]
    fn role_numbers_by_contract_and_by_engine() {
        let numbers = |numbering| {
            [Role::Root, Role::Admin, Role::User, Role::Other("x".into())].map(|role| number(&role, numbering))
        };
        assert_eq!(numbers(RoleNumbering::Contract), [0, 1, 2, -1]);
        assert_eq!(numbers(RoleNumbering::Engine), [2, 1, 0, -1]);
    }
}
