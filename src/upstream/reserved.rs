//! Header names that a client can never send through, however they are spelt. Knows no requests.

use http::HeaderName;

/// Names that speak for the client towards an upstream. An entry that ends in `-` stands for all names that begin so.
const RESERVED: [&str; 20] = [
    "x-key",
    "x-access-token",
    "x-webitel-user",
    "x-webitel-domain",
    "x-webitel-role",
    "x-webitel-session",
    "x-client-identity",
    "forwarded",
    "x-forwarded",
    "x-forwarded-",
    "x-request-id",
    "x-original-",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "proxy",
    "x-host",
    "x-http-host-override",
    // Next.js skips its own checks for who names it (CVE-2025-29927).
    "x-middleware-",
];

/// Where products and frameworks look for the client's address or scheme beside the names above, whoever wrote it there.
const CLIENT_ADDRESSES: [&str; 26] = [
    "x-real-ip",
    "client-ip",
    "x-client-ip",
    "true-client-ip",
    "x-true-client-ip",
    "x-cluster-client-ip",
    "forwarded-for",
    "remote-addr",
    "x-originating-ip",
    "x-proxyuser-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "fastly-client-ip",
    "fly-client-ip",
    "appengine-user-ip",
    "x-appengine-user-ip",
    "x-azure-",
    "proxy-client-ip",
    "wl-proxy-client-ip",
    "x-url-scheme",
    "x-scheme",
    "front-end-https",
    "x-arr-ssl",
    // Deadlines, retries and what is internal, beside the client's address.
    "x-envoy-",
    // The address, and with it who Kubernetes' front proxies say that somebody is.
    "x-remote-",
];

/// Where they look for who was authenticated, by a proxy or by a certificate (RFC 9440, section 4: to be removed, always).
const CLAIMED_IDENTITIES: [&str; 24] = [
    "remote-user",
    "remote-groups",
    "remote-name",
    "remote-email",
    "x-authenticated-user",
    "x-auth-request-",
    "x-webauth-",
    "client-cert",
    "client-cert-chain",
    "x-client-cert",
    "x-client-dn",
    "x-client-verify",
    "ssl-client-",
    "x-ssl-client-",
    "x-ssl-cert",
    "x-arr-clientcert",
    // Of front doors in clouds, of which none stands between this gateway and its API.
    "x-amzn-oidc-",
    "x-amzn-mtls-",
    "cf-access-",
    "x-goog-authenticated-user-",
    "x-goog-iap-",
    "x-ms-client-principal",
    "x-ms-client-principal-",
    "tailscale-",
];

/// What frames or belongs to one connection, where a server folds another spelling into it. By their own names these are gone
/// before, but for [`FRAMING`].
const FOLDED: [&str; 6] =
    [FRAMING, "transfer-encoding", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"];

/// The one name of which other spellings are reserved and its own is not.
const FRAMING: &str = "content-length";

const BUCKETS: usize = 256;

/// The names that a client can never send through: the built-in ones and the configured identity names.
#[derive(Clone, Debug)]
pub struct Reserved {
    /// By [`bucket`], so that most names are compared with few or none.
    buckets: Vec<Vec<Box<str>>>,
}

impl Reserved {
    /// Adds `identity` to the built-in names.
    pub fn new<'a>(identity: impl IntoIterator<Item = &'a HeaderName>) -> Self {
        let mut buckets = vec![Vec::new(); BUCKETS];
        let identity = identity.into_iter().map(HeaderName::as_str);
        for name in built_in().map(|name| -> &'a str { name }).chain(identity) {
            buckets[bucket(name)].push(Box::from(name));
        }
        Self { buckets }
    }

    /// Whether `name` is reserved, spelt with `-`, `_`, `.` or any other sign that CGI turns into `_` (RFC 3875, section 4.1.18,
    /// as servers go about it).
    pub fn holds(&self, name: &str) -> bool {
        self.buckets[bucket(name)].iter().any(|reserved| means(name, reserved)) && name != FRAMING
    }
}

fn built_in() -> impl Iterator<Item = &'static str> {
    RESERVED.into_iter().chain(CLIENT_ADDRESSES).chain(CLAIMED_IDENTITIES).chain(FOLDED)
}

/// Where a name is kept, by its first and third letter: half of all names begin with `x-`.
fn bucket(name: &str) -> usize {
    let letter = |at: usize| match name.as_bytes().get(at) {
        Some(letter) if letter.is_ascii_alphanumeric() => usize::from(*letter),
        _ => 0,
    };
    (letter(0) * 7 + letter(2)) % BUCKETS
}

/// `name` is lower case already, as every [`HeaderName`] is.
fn means(name: &str, reserved: &str) -> bool {
    let same = |(sent, known): (u8, u8)| sent == known || known == b'-' && !sent.is_ascii_alphanumeric();
    let long_enough = if reserved.ends_with('-') { name.len() >= reserved.len() } else { name.len() == reserved.len() };
    long_enough && name.bytes().zip(reserved.bytes()).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reserved_names_are_known_in_every_spelling() {
        let custom = HeaderName::from_static("acme-user");
        let reserved = Reserved::new([&custom]);
        for name in [
            "X-Key",
            "x_key",
            "X.KEY",
            "x!key",
            "X-Access_Token",
            "Forwarded",
            "X-Forwarded-Anything",
            "x.forwarded.for",
            "X_Forwarded_Host",
            "Proxy",
            "ACME_User",
            "x-webitel-user",
            "X-Client-Identity",
            "X-Original-URL",
            "X-Rewrite-URL",
            "True-Client-IP",
            "CF_Connecting.IP",
            "X-Azure-ClientIP",
            "Content_Length",
            "Transfer.Encoding",
            "Remote_User",
            "Client-Cert",
        ] {
            assert!(reserved.holds(&name.to_ascii_lowercase()), "{name}");
        }
        for name in [
            "x-keys",
            "xkey",
            "x-ke",
            "accept",
            "proxyx",
            "x-forwardedfor",
            "user-agent",
            "client-ips",
            "content-length",
            "content-type",
            "client-certs",
            "",
        ] {
            assert!(!reserved.holds(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_mix_of_separators_is_reserved(seed in proptest::collection::vec(0..4usize, 32)) {
            let reserved = Reserved::new([]);
            for known in built_in() {
                let mixed: String = known.chars().zip(seed.iter().cycle())
                    .map(|(c, s)| if c == '-' { ['-', '_', '.', '~'][*s] } else { c }).collect();
                prop_assert!(reserved.holds(&mixed) || mixed == FRAMING, "{}", mixed);
            }
        }
    }
}
