//! Canonical user names: one user, one spelling, however it was typed. Knows no users.

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::PrecisFastInvocation;

/// Bytes; longer ones have no canonical form, so that what a login costs stays bounded.
const LONGEST: usize = 512;

/// The one spelling of a name: `UsernameCaseMapped` (RFC 8265, section 3.3) before the last `@`, IDNA (UTS 46) to ASCII
/// without a trailing dot after it. Absent where there is none; a name without `@` is all local part.
///
/// Applied until nothing changes, as RFC 8264, section 7, wants it where a result is compared; a full-width `@`, for
/// one, is an `@` only in the result.
pub fn canonical(name: &str) -> Option<String> {
    let mut stable = spell(name)?;
    for _ in 0..3 {
        let again = spell(&stable)?;
        if again == stable {
            return Some(stable);
        }
        stable = again;
    }
    None
}

fn spell(name: &str) -> Option<String> {
    if name.len() > LONGEST {
        return None;
    }
    let username = |local| UsernameCaseMapped::enforce(local).ok();
    let Some((local, domain)) = name.rsplit_once('@') else { return username(name).map(|name| name.into_owned()) };
    Some(format!("{}@{}", username(local)?, ascii_domain(domain)?))
}

fn ascii_domain(domain: &str) -> Option<String> {
    let (bytes, labels) = (domain.as_bytes(), DnsLength::VerifyAllowRootDot);
    let ascii = Uts46::new().to_ascii(bytes, AsciiDenyList::URL, Hyphens::Allow, labels).ok()?;
    let ascii = ascii.strip_suffix('.').unwrap_or(&ascii);
    (!ascii.is_empty()).then(|| ascii.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::canonical;

    #[test]
    fn every_spelling_of_a_name_is_one_name() {
        for spelling in [
            "100@mydomain.com",
            "100@MyDomain.COM",
            "100@mydomain.com.",
            "100@mydomain。com",
            "１００@mydomain.com",
            "100＠mydomain.com",
        ] {
            assert_eq!(canonical(spelling).as_deref(), Some("100@mydomain.com"), "{spelling}");
        }
        assert_eq!(canonical("ROOT").as_deref(), Some("root"));
        assert_eq!(canonical("Zoë@Bücher.example").as_deref(), Some("zoë@xn--bcher-kva.example"));
        assert_eq!(canonical("zoe\u{308}@bücher.example").as_deref(), Some("zoë@xn--bcher-kva.example"));
        assert_eq!(canonical("a@b@example.com").as_deref(), Some("a@b@example.com"));
    }

    #[test]
    fn what_is_no_name_has_no_canonical_form() {
        let long = "a".repeat(513);
        for bad in ["", "@", "a@", "@b.com", "a b", " root", "a@b c", "a@b..", "a@.", "a@b..c", "a\u{0}", &long] {
            assert_eq!(canonical(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn canonical_is_idempotent_over_awkward_letters(name in "[a-cA-CßİıΣσς＠@.。ü１\u{308}-]{1,12}") {
            if let Some(once) = canonical(&name) {
                prop_assert_eq!(canonical(&once), Some(once.clone()));
            }
        }

        #[test]
        fn canonical_is_idempotent(name in "\\PC{1,12}(@\\PC{1,12})?") {
            if let Some(once) = canonical(&name) {
                prop_assert_eq!(canonical(&once), Some(once.clone()));
            }
        }

        #[test]
        fn arbitrary_text_never_panics(name: String) {
            let _ = canonical(&name);
        }
    }
}
