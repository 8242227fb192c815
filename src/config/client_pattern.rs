//! Which clients a route is open to, by the names that their certificates give them.

use std::fmt;

use super::findings::Wrong;
use super::value::quoted;

/// One client's name, or a pattern of names. A `*` stands for one label at the start of a DNS name, or for everything that
/// follows a `/` at the end of a URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientPattern {
    /// This name.
    Exact(String),
    /// `*.example.com`, without the `*`.
    OneLabelBefore(String),
    /// `spiffe://example.com/ns/web/*`, without the `*`.
    AllBelow(String),
}

impl ClientPattern {
    /// Whether a certificate's name is meant.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(known) => known == name,
            Self::OneLabelBefore(parent) => name.strip_suffix(parent.as_str()).is_some_and(is_label),
            Self::AllBelow(start) => name.len() > start.len() && name.starts_with(start.as_str()),
        }
    }
}

impl fmt::Display for ClientPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::OneLabelBefore(parent) => write!(f, "*{parent}"),
            Self::AllBelow(start) => write!(f, "{start}*"),
        }
    }
}

/// A name as a certificate would give it, or a pattern.
pub(super) fn client_pattern(text: &str) -> Result<ClientPattern, Wrong> {
    let wrong = |what: &str, fix: &str| Err(Wrong::new(format!("{} {what}", quoted(text)), fix));
    if text.trim() != text || text.is_empty() || text.chars().any(char::is_control) {
        return wrong("is not a client's name", "write it as its certificate says it, such as \"billing.internal\"");
    }
    if let Some(parent) = text.strip_prefix('*').filter(|parent| parent.len() > 1 && parent.starts_with('.')) {
        if parent.split('.').skip(1).all(is_label) {
            return Ok(ClientPattern::OneLabelBefore(parent.to_ascii_lowercase()));
        }
    } else if let Some(start) = text.strip_suffix('*').filter(|start| start.contains("://") && start.ends_with('/')) {
        if !start.contains('*') {
            return Ok(ClientPattern::AllBelow(start.to_owned()));
        }
    } else if !text.contains('*') {
        return Ok(ClientPattern::Exact(text.to_owned()));
    }
    wrong("is not a pattern", "use * as in \"*.internal\" or \"spiffe://prod/web/*\", or name each client")
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        client_pattern(pattern).unwrap().matches(name)
    }

    #[test]
    fn a_name_matches_itself_alone() {
        assert!(matches("billing.internal", "billing.internal") && matches("Billing Service", "Billing Service"));
        for other in ["Billing.internal", "billing.internal.", "x.billing.internal", "billing", ""] {
            assert!(!matches("billing.internal", other), "{other}");
        }
    }

    #[test]
    fn a_star_is_one_label_or_what_is_below() {
        assert!(matches("*.Internal", "a.internal"));
        for other in ["internal", ".internal", "a.b.internal", "a@b.internal", "spiffe://x/a.internal", "a.internal.x"]
        {
            assert!(!matches("*.internal", other), "{other}");
        }
        assert!(matches("spiffe://prod/web/*", "spiffe://prod/web/a/b"));
        for other in ["spiffe://prod/web/", "spiffe://prod/web", "spiffe://prod/webs/a", "xspiffe://prod/web/a"] {
            assert!(!matches("spiffe://prod/web/*", other), "{other}");
        }
    }

    #[test]
    fn a_pattern_is_shown_as_it_was_written() {
        for text in ["billing.internal", "*.internal", "spiffe://prod/web/*"] {
            assert_eq!(client_pattern(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for bad in ["", " a", "*", "a*", "*a", "*.", "*..a", "a.*.b", "spiffe://*/x", "spiffe://a*", "*.a/b", "a\nb"] {
            assert!(client_pattern(bad).is_err(), "{bad}");
        }
    }
}
