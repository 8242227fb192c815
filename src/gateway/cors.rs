//! Cross-origin answers (WHATWG Fetch, "CORS protocol"): preflights, and the headers on every answer. One set, the gateway's.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};

use super::body::Body;
use crate::config::{self, Origins};

/// The configured answers, ready to be sent.
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Origins,
    headers: HeaderValue,
    methods: HeaderValue,
    max_age: HeaderValue,
}

impl Cors {
    pub(crate) fn new(config: &config::Cors) -> Self {
        let headers: Vec<&str> = config.headers.iter().map(http::HeaderName::as_str).collect();
        let methods: Vec<&str> = config.methods.iter().map(Method::as_str).collect();
        let value = |text: String| HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
        Self {
            origins: config.origins.clone(),
            headers: value(headers.join(", ")),
            methods: value(methods.join(", ")),
            max_age: HeaderValue::from(config.max_age.as_secs()),
        }
    }

    /// The answer to a preflight: OPTIONS with `Origin` and `Access-Control-Request-Method`, and nothing else.
    pub(crate) fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let (method, headers) = (request.method(), request.headers());
        let asks = headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if *method != Method::OPTIONS || !asks {
            return None;
        }
        let mut response = Response::new(Body::full(""));
        let answer = response.headers_mut();
        if self.allowed(headers.get(ORIGIN)).is_some() {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone());
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            answer.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        }
        Some(response)
    }

    /// Sets the headers of an answer to `origin`; an upstream's are gone by then, see [`strip`].
    pub(crate) fn mark(&self, answer: &mut HeaderMap, origin: Option<&HeaderValue>) {
        if matches!(self.origins, Origins::Listed(_)) {
            answer.append(VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(allowed) = self.allowed(origin) {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        }
    }

    fn allowed(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        let origin = origin?;
        match &self.origins {
            Origins::Any => Some(HeaderValue::from_static("*")),
            Origins::Listed(listed) => listed.contains(origin).then(|| origin.clone()),
        }
    }
}

/// Removes what an upstream said, so that there is one set of these headers: the gateway's.
pub(crate) fn strip(answer: &mut HeaderMap) {
    for name in FROM_UPSTREAM {
        answer.remove(name);
    }
}

const FROM_UPSTREAM: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_MAX_AGE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn cors(origins: Origins) -> Cors {
        Cors::new(&config::Cors {
            origins,
            headers: vec![http::header::CONTENT_TYPE],
            methods: vec![Method::GET, Method::PUT],
            max_age: Duration::from_secs(86_400),
        })
    }

    fn asked(method: Method, origin: &str) -> Request<()> {
        let request = Request::builder().method(method).header(ORIGIN, origin);
        request.header(ACCESS_CONTROL_REQUEST_METHOD, "PUT").body(()).unwrap()
    }

    #[test]
    fn only_options_with_both_headers_is_a_preflight() {
        let cors = cors(Origins::Any);
        assert!(cors.preflight(&asked(Method::GET, "https://a")).is_none());
        assert!(cors.preflight(&Request::options("/").body(()).unwrap()).is_none());
        let answer = cors.preflight(&asked(Method::OPTIONS, "https://a")).unwrap();
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_METHODS], "GET, PUT");
        assert_eq!(answer.headers()[ACCESS_CONTROL_MAX_AGE], "86400");
    }

    #[test]
    fn an_origin_that_is_not_listed_is_told_nothing() {
        let cors = cors(Origins::Listed(vec![HeaderValue::from_static("https://a")]));
        let answer = cors.preflight(&asked(Method::OPTIONS, "https://b")).unwrap();
        assert!(answer.headers().is_empty());
        let mut headers = HeaderMap::from_iter([(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))]);
        strip(&mut headers);
        cors.mark(&mut headers, Some(&HeaderValue::from_static("https://b")));
        assert_eq!((headers.len(), &headers[VARY]), (1, &HeaderValue::from_static("Origin")));
        cors.mark(&mut headers, Some(&HeaderValue::from_static("https://a")));
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a");
    }
}
