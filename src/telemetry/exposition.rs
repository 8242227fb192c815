//! Metrics as text: OpenMetrics 1.0 and the older text format of Prometheus, which differ in names and in the end.

use std::fmt::{Display, Write as _};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
    OpenMetrics,
    /// Version 0.0.4.
    Prometheus,
}

/// What kind of number a family holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Comes and goes.
    Gauge,
    /// Counts by upper bound.
    Histogram,
    /// Facts in labels.
    Info,
}

/// A text that grows family by family; a family's samples follow it.
#[derive(Debug)]
pub struct Exposition {
    syntax: Syntax,
    text: String,
    name: &'static str,
    kind: Kind,
}

/// Labels of a sample. Values are escaped; names are the program's own.
pub type Labels<'a> = [(&'static str, &'a str)];

impl Syntax {
    /// The `Content-Type` of such a text.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

impl Exposition {
    /// Nothing yet.
    pub fn new(syntax: Syntax) -> Self {
        Self { syntax, text: String::new(), name: "", kind: Kind::Gauge }
    }

    /// Begins a family. Its name has no `_total` and no `_info`: those belong to its samples.
    pub fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> &mut Self {
        (self.name, self.kind) = (name, kind);
        let suffix = if self.syntax == Syntax::Prometheus { kind.suffix() } else { "" };
        let called = match (self.syntax, kind) {
            (Syntax::OpenMetrics, Kind::Info) => "info",
            (Syntax::Prometheus, Kind::Info) | (_, Kind::Gauge) => "gauge",
            (_, Kind::Counter) => "counter",
            (_, Kind::Histogram) => "histogram",
        };
        let unit = ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(unit));
        self.line(format_args!("# HELP {name}{suffix} {help}"));
        self.line(format_args!("# TYPE {name}{suffix} {called}"));
        if let (Syntax::OpenMetrics, Some(unit)) = (self.syntax, unit) {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
        self
    }

    /// One sample of the family.
    pub fn sample(&mut self, labels: &Labels<'_>, value: impl Display) -> &mut Self {
        self.part(self.kind.suffix(), labels, &value)
    }

    /// A histogram: its bounds with what was counted up to each of them, and the sum of all.
    pub fn histogram(&mut self, labels: &Labels<'_>, bounds: &[(String, u64)], sum: impl Display) -> &mut Self {
        for (bound, count) in bounds {
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.part("_bucket", &labels, count);
        }
        self.part("_sum", labels, &sum);
        let count = bounds.last().map_or(0, |(_, count)| *count);
        self.part("_count", labels, &count)
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        if self.syntax == Syntax::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn part(&mut self, suffix: &str, labels: &Labels<'_>, value: &dyn Display) -> &mut Self {
        let name = self.name;
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        match labels.is_empty() {
            true => self.line(format_args!("{name}{suffix} {value}")),
            false => self.line(format_args!("{name}{suffix}{{{}}} {value}", labels.join(","))),
        }
        self
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String can't fail.
        let _written = writeln!(self.text, "{line}");
    }
}

impl Kind {
    fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(syntax: Syntax) -> String {
        let mut text = Exposition::new(syntax);
        text.family(Kind::Info, "a_build", "A.").sample(&[("version", "1")], 1);
        text.family(Kind::Counter, "a_sent_bytes", "B.").sample(&[("route", "/\"\\\n")], 5);
        let bounds = [("0.1".to_owned(), 1), ("+Inf".to_owned(), 3)];
        text.family(Kind::Histogram, "a_seconds", "C.").histogram(&[("code", "2xx")], &bounds, 1.5);
        text.family(Kind::Gauge, "a_sessions", "D.").sample(&[], 7);
        text.finish()
    }

    #[test]
    fn openmetrics_names_families_without_suffix_and_ends() {
        let expected = r#"# HELP a_build A.
# TYPE a_build info
a_build_info{version="1"} 1
# HELP a_sent_bytes B.
# TYPE a_sent_bytes counter
# UNIT a_sent_bytes bytes
a_sent_bytes_total{route="/\"\\\n"} 5
# HELP a_seconds C.
# TYPE a_seconds histogram
# UNIT a_seconds seconds
a_seconds_bucket{code="2xx",le="0.1"} 1
a_seconds_bucket{code="2xx",le="+Inf"} 3
a_seconds_sum{code="2xx"} 1.5
a_seconds_count{code="2xx"} 3
# HELP a_sessions D.
# TYPE a_sessions gauge
a_sessions 7
# EOF
"#;
        assert_eq!(text(Syntax::OpenMetrics), expected);
    }

    #[test]
    fn the_older_format_names_families_as_their_samples() {
        let text = text(Syntax::Prometheus);
        for line in ["# TYPE a_build_info gauge", "# TYPE a_sent_bytes_total counter", "# TYPE a_seconds histogram"] {
            assert!(text.contains(&format!("{line}\n")), "{text}");
        }
        assert!(!text.contains("EOF") && !text.contains("UNIT"), "{text}");
    }
}
