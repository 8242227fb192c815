//! POST /login and POST /logout as the wire contract has them: bodies in, bodies out, nothing of how passwords are checked.

use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use zeroize::Zeroize as _;

use super::audit::{self, Trial};
use super::body::Body;
use super::credentials::{self, Presented};
use super::error::{Refusal, json_response};
use super::login_body::Login;
use super::record::Record;
use super::{Gateway, Rules};
use crate::auth::{Issued, Now, Session};
use crate::clock::BootTime;
use crate::config::RoleNumbering;
use crate::directory::{Role, canonical};

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
                let answer = json_response(StatusCode::OK, &welcome);
                wipe(welcome);
                Ok(answer)
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
        let Login { username, password } = Login::read(record, request, self.limits.header_timeout).await?;
        let name = canonical(&username);
        trial.claims(name.as_deref());
        let origin = record.client.origin(&record.rules.trusted_proxies);
        let mut attempt = self.throttle.begin(name.as_deref().unwrap_or(&username), origin, BootTime::now())?;
        loop {
            let rules = self.rules();
            let verified = rules.directories.verify(&username, password.clone()).await;
            attempt.ended(&verified);
            let principal = verified?;
            record.asked_by(&principal.name);
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
        let revoke =
            |presented: Presented<'_>| self.sessions.revoke(&presented.key, presented.token(), BootTime::now()).ok();
        let ended = credentials::from_headers(headers).and_then(revoke);
        audit::logout(&self.audit, record, ended.as_deref());
        record.asked_by(ended.ok_or(Refusal::BadCaller)?.user());
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

/// Zeroes this copy of what the answer hands out.
fn wipe(mut welcome: Value) {
    for name in ["key", "token"] {
        if let Some(Value::String(text)) = welcome.get_mut(name) {
            text.zeroize();
        }
    }
}

fn number(role: &Role, numbering: RoleNumbering) -> i8 {
    match (role, numbering) {
        (Role::Admin, _) => 1,
        (Role::Root, RoleNumbering::Contract) | (Role::User, RoleNumbering::Engine) => 0,
        (Role::User, RoleNumbering::Contract) | (Role::Root, RoleNumbering::Engine) => 2,
        (Role::Other(_), _) => -1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_numbers_by_contract_and_by_engine() {
        let numbers = |numbering| {
            [Role::Root, Role::Admin, Role::User, Role::Other("x".into())].map(|role| number(&role, numbering))
        };
        assert_eq!(numbers(RoleNumbering::Contract), [0, 1, 2, -1]);
        assert_eq!(numbers(RoleNumbering::Engine), [2, 1, 0, -1]);
    }
}
