//! GET /metrics: in the syntax that the scraper asks for. Knows nothing of what is counted.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::Full;

use crate::telemetry::exposition::Syntax;

/// The answer to a scrape.
pub(crate) fn answer(headers: &HeaderMap, render: impl FnOnce(Syntax) -> String) -> Response<Full<Bytes>> {
    let syntax = negotiated(headers);
    let mut response = Response::new(Full::from(render(syntax)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(syntax.content_type()));
    response
}

/// OpenMetrics where it is asked for by name and nothing else is liked better; else what everybody reads.
fn negotiated(headers: &HeaderMap) -> Syntax {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let (mut open_metrics, mut plain) = (0.0, 0.0);
    for range in lines.flat_map(|line| line.split(',')) {
        let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
        let kind = parts.next().unwrap_or_default();
        let parameters: Vec<String> = parts.collect();
        let weight = parameters.iter().find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        let version = parameters.iter().find_map(|part| part.strip_prefix("version="));
        match (kind.as_str(), version) {
            ("application/openmetrics-text", None | Some("1.0.0")) => open_metrics = weight.max(open_metrics),
            ("text/plain" | "text/*" | "*/*", _) => plain = weight.max(plain),
            _ => {}
        }
    }
    if open_metrics > 0.0 && open_metrics >= plain { Syntax::OpenMetrics } else { Syntax::Prometheus }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_syntax_is_negotiated() {
        let asked = |accept: &str| negotiated(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]));
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                          text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for open in
            [prometheus, "application/openmetrics-text", "Application/OpenMetrics-Text; version=1.0.0, text/plain"]
        {
            assert_eq!(asked(open), Syntax::OpenMetrics, "{open}");
        }
        for plain in [
            "*/*",
            "text/plain",
            "application/json",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;version=9.9",
            "application/openmetrics-text;q=0.1, text/plain;q=0.9",
        ] {
            assert_eq!(asked(plain), Syntax::Prometheus, "{plain}");
        }
        assert_eq!(negotiated(&HeaderMap::new()), Syntax::Prometheus);
    }
}
