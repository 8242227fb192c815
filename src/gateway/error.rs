//! The one place where a refusal becomes a response; what it says outside and what it is called in logs and metrics.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};

use super::body::Body;
use crate::auth::{Denied, Full, Rejected, Throttled};
use crate::directory::Refused;
use crate::telemetry::audit::Stuck;
use crate::upstream::{BodyFault, Fault};

/// Seconds a client is asked to wait before it tries again.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// Why the gateway answers a request itself, and not kindly.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// The request can be understood in more than one way, or in none.
    Ambiguous(&'static str),
    /// A head that is too large.
    HeadTooLarge,
    /// A head that was begun and took too long.
    HeadTooSlow,
    /// A login body that is not what the contract says.
    BadLogin(&'static str),
    /// No user name in a login.
    NameRequired,
    /// Wrong or missing password.
    InvalidCredentials,
    /// No such user, where that may be said.
    UnknownUser,
    /// A logout without a live pair.
    BadCaller,
    /// The right pair, too late.
    TokenExpired,
    /// No pair, or not a right one.
    InvalidToken,
    /// A live session that may not do this, or a route closed to all.
    Forbidden,
    /// A route for some clients, and a certificate of another, or none.
    WrongClient,
    /// No rule for this path.
    NoRoute,
    /// The path has rules, the method none; the value for `Allow`.
    MethodNotAllowed(HeaderValue),
    /// A request body that stopped.
    BodyStalled,
    /// A request body over the limit.
    BodyTooLarge,
    /// A login that is not JSON by its content type.
    NotJson,
    /// An expectation other than 100-continue (RFC 9110, section 10.1.1).
    UnknownExpectation,
    /// The TLS server name and the host disagree about the rules.
    Misdirected,
    /// A method or a coding that no proxy of this kind carries; the text says which.
    NotImplemented(&'static str),
    /// The client broke off its own body.
    BodyBroken,
    /// More logins than can be checked.
    LoginBusy,
    /// As many sessions as are allowed.
    SessionsFull,
    /// Audit lines can't be written, so that nobody may log in.
    AuditStuck,
    /// More failed logins than are allowed, known before a password was looked at.
    Throttled(Throttled),
    /// Every server has as many requests as it may have.
    UpstreamBusy,
    /// No server could be reached.
    Unreachable,
    /// A server answered nothing, or nothing that is HTTP.
    BrokenAnswer,
    /// A server answered a WebSocket handshake wrongly, or switched protocols unasked.
    BadSwitch,
    /// A server took too long.
    UpstreamTimeout,
}

impl Refusal {
    /// The status code.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Ambiguous(_) | Self::BadLogin(_) | Self::NameRequired | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::InvalidCredentials | Self::BadCaller | Self::TokenExpired | Self::InvalidToken => {
                StatusCode::UNAUTHORIZED
            }
            Self::Forbidden | Self::WrongClient => StatusCode::FORBIDDEN,
            Self::UnknownUser | Self::NoRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyStalled | Self::HeadTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::UnknownExpectation => StatusCode::EXPECTATION_FAILED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::LoginBusy | Self::SessionsFull | Self::AuditStuck | Self::UpstreamBusy => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Unreachable | Self::BrokenAnswer | Self::BadSwitch => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// What the client is told.
    pub(crate) fn info(&self) -> &'static str {
        match self {
            Self::Ambiguous(info) | Self::BadLogin(info) | Self::NotImplemented(info) => info,
            Self::HeadTooLarge => "The head of the request is too large",
            Self::HeadTooSlow => "The head of the request took too long",
            Self::NameRequired => "User name is required",
            Self::InvalidCredentials => "Invalid credentials",
            Self::UnknownUser => "User not found",
            Self::BadCaller => "Bad caller",
            Self::TokenExpired => "Token expired",
            Self::InvalidToken => "Invalid token or key",
            Self::Forbidden | Self::WrongClient => "Forbidden",
            Self::NoRoute => "Not found",
            Self::MethodNotAllowed(_) => "Method not allowed",
            Self::BodyStalled => "The request body stopped",
            Self::BodyTooLarge => "The request body is too large",
            Self::NotJson => "The content type must be application/json",
            Self::UnknownExpectation => "Only 100-continue can be expected",
            Self::Misdirected => "The TLS server name and the host disagree",
            Self::BodyBroken => "The request body broke off",
            Self::LoginBusy => "Too many logins at once",
            Self::SessionsFull => "Too many sessions",
            Self::AuditStuck => "Logins cannot be recorded",
            Self::Throttled(_) => "Too many failed logins",
            Self::UpstreamBusy => "The API has too many requests at once",
            Self::Unreachable => "The API cannot be reached",
            Self::BrokenAnswer => "The API gave no answer",
            Self::BadSwitch => "The API switched protocols wrongly",
            Self::UpstreamTimeout => "The API took too long",
        }
    }

    /// A stable name for logs and metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Ambiguous(_) => "ambiguous",
            Self::HeadTooLarge => "head_too_large",
            Self::HeadTooSlow => "slow_head",
            Self::BadLogin(_) => "bad_login",
            Self::NameRequired => "name_required",
            Self::InvalidCredentials => "invalid_credentials",
            Self::UnknownUser => "unknown_user",
            Self::BadCaller => "bad_caller",
            Self::TokenExpired => "token_expired",
            Self::InvalidToken => "invalid_token",
            Self::Forbidden => "forbidden",
            Self::WrongClient => "wrong_client",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::BodyStalled => "body_stalled",
            Self::BodyTooLarge => "body_too_large",
            Self::NotJson => "not_json",
            Self::UnknownExpectation => "unknown_expectation",
            Self::Misdirected => "misdirected",
            Self::NotImplemented(_) => "not_implemented",
            Self::BodyBroken => "body_broken",
            Self::LoginBusy => "login_busy",
            Self::SessionsFull => "sessions_full",
            Self::AuditStuck => "audit_stuck",
            Self::Throttled(_) => "throttled",
            Self::UpstreamBusy => "upstream_busy",
            Self::Unreachable => "unreachable",
            Self::BrokenAnswer => "broken_answer",
            Self::BadSwitch => "bad_switch",
            Self::UpstreamTimeout => "upstream_timeout",
        }
    }

    /// Whether client and gateway may disagree about where the request ends, or what it is for.
    pub(crate) fn closes(&self) -> bool {
        matches!(self, Self::Ambiguous(_) | Self::HeadTooLarge | Self::HeadTooSlow | Self::BodyBroken)
    }

    /// The response, in the shape of the contract.
    pub(crate) fn into_response(self) -> Response<Body> {
        let status = self.status();
        let text = match self {
            // Most refusals by far: nothing is put together, nor given back.
            Self::InvalidToken => Bytes::from_static(INVALID_TOKEN),
            _ => error_text(self.info()).into(),
        };
        let mut response = json(status, text);
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("X-Access-Token realm=\"gatewarden\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        if let Self::Throttled(throttled) = &self {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(throttled.wait)));
        }
        if let Self::MethodNotAllowed(allow) = self {
            headers.insert(ALLOW, allow);
        }
        response
    }
}

/// Rounded up, so that nobody comes back too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// As [`error_text`] has it.
const INVALID_TOKEN: &[u8] = br#"{"status":"error","info":"Invalid token or key"}"#;

/// What clients parse of every refusal. All of it is ours, so that there is nothing to escape.
fn error_text(info: &'static str) -> String {
    debug_assert!(info.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\'), "{info}");
    [r#"{"status":"error","info":""#, info, r#""}"#].concat()
}

/// An answer of the gateway itself; never to be stored.
pub(crate) fn json_response(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    json(status, value.to_string().into())
}

fn json(status: StatusCode, text: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Answers to HEAD say how long they would be and carry nothing (RFC 9110, section 9.3.2); HTTP/1.1 is cut by hyper, HTTP/2 is not.
pub(crate) fn cut_content(response: &mut Response<Body>) {
    if let Some(length) = response.body_mut().cut_own() {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Rejected(Rejected::Expired) => Self::TokenExpired,
            Denied::Missing | Denied::Rejected(Rejected::Unknown | Rejected::Mismatch) => Self::InvalidToken,
            Denied::Forbidden(_) => Self::Forbidden,
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NameRequired => Self::NameRequired,
            Refused::UnknownUser => Self::UnknownUser,
            Refused::WrongPassword => Self::InvalidCredentials,
            Refused::Busy => Self::LoginBusy,
        }
    }
}

impl From<Full> for Refusal {
    fn from(_: Full) -> Self {
        Self::SessionsFull
    }
}

impl From<Stuck> for Refusal {
    fn from(_: Stuck) -> Self {
        Self::AuditStuck
    }
}

impl From<Throttled> for Refusal {
    fn from(throttled: Throttled) -> Self {
        Self::Throttled(throttled)
    }
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Stalled => Self::BodyStalled,
            BodyFault::TooLarge => Self::BodyTooLarge,
            BodyFault::Broken => Self::BodyBroken,
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Busy => Self::UpstreamBusy,
            Fault::Unreachable => Self::Unreachable,
            Fault::BrokenAnswer => Self::BrokenAnswer,
            Fault::ConnectTimeout | Fault::ResponseTimeout => Self::UpstreamTimeout,
            Fault::Body(fault) => fault.into(),
            Fault::SessionOver(rejected) => Denied::Rejected(rejected).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_refusal_says_what_it_would_say_put_together() {
        assert_eq!(INVALID_TOKEN, error_text(Refusal::InvalidToken.info()).as_bytes());
    }
}
