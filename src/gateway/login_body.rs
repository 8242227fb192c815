//! The body of a login: read whole, within bounds, and taken apart. Knows neither users nor sessions.

use std::fmt;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use zeroize::{Zeroize as _, Zeroizing};

use super::error::Refusal;
use super::record::Record;
use crate::directory::Password;

/// The most bytes a login may have.
const LOGIN_BYTES: usize = 16 * 1024;

/// A name and a password as sent.
pub(super) struct Login {
    pub(super) username: String,
    pub(super) password: Password,
}

/// Zeroed when dropped; with room for all of it from the start, since a buffer that grows leaves its bytes behind.
async fn read_body(
    record: &Record,
    request: &mut Request<Option<Incoming>>,
    patience: Duration,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let headers = request.headers();
    if !is_json(headers) {
        return Err(Refusal::NotJson);
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > LOGIN_BYTES as u64) {
        return Err(Refusal::BodyTooLarge);
    }
    let room = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or(LOGIN_BYTES);
    let read = async {
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        let Some(body) = request.body_mut() else { return Ok(bytes) };
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Refusal::BodyBroken)?.into_data() else { continue };
            record.received(data.len());
            if bytes.len() + data.len() > LOGIN_BYTES {
                return Err(Refusal::BodyTooLarge);
            }
            bytes.extend_from_slice(&data);
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

/// What the two members of a login held; `Err` when a member is there but not once and a string.
#[derive(Default)]
struct Members {
    username: Option<Value>,
    password: Option<Value>,
    repeated: bool,
}

impl Login {
    /// Reads the whole body of a login.
    ///
    /// # Errors
    /// The refusal for a body that is not one, is too large, or does not come within `patience`.
    pub(super) async fn read(
        record: &Record,
        request: &mut Request<Option<Incoming>>,
        patience: Duration,
    ) -> Result<Self, Refusal> {
        Self::parse(&read_body(record, request, patience).await?)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(bytes).map_err(|_| Refusal::BadLogin("The body is not UTF-8"))?;
        let mut members: Members = serde_json::from_str(text).map_err(|error| {
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
            username: string(members.username.take(), "username must be a string")?,
            password: Password::new(string(members.password.take(), "password must be a string")?),
        })
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        wipe(&mut self.password);
    }
}

/// A password that is not needed, or was not the only one.
fn wipe(member: &mut Option<Value>) {
    if let Some(Value::String(text)) = member {
        text.zeroize();
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
            members.repeated |= member.is_some();
            wipe(member);
            *member = Some(map.next_value()?);
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
        assert_eq!(login.username, "u");
        assert!(login.password.is_plausible() && format!("{:?}", login.password) == "Password(..)");
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
}
