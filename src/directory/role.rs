//! Roles by name; numbers exist only in the login answer.

use std::fmt;

/// What a principal may do, by name; never compared by number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The whole installation.
    Root,
    /// A domain.
    Admin,
    /// Itself.
    User,
    /// Any other token (RFC 9110, section 5.6.2).
    Other(Box<str>),
}

impl Role {
    /// The role with that name; absent unless the name is a token (RFC 9110, section 5.6.2) of at most 64 bytes.
    fn parse(name: &str) -> Option<Self> {
        match name {
            "root" => Some(Self::Root),
            "admin" => Some(Self::Admin),
            "user" => Some(Self::User),
            _ => is_token(name).then(|| Self::Other(name.into())),
        }
    }

    /// The role that somebody wrote by that name. `Root` is a slip: it would be a role of its own, which is root to nobody.
    ///
    /// # Errors
    /// What is wrong, and what to do about it.
    pub fn written(name: &str) -> Result<Self, (String, String)> {
        let known = ["root", "admin", "user"].into_iter().find(|known| known.eq_ignore_ascii_case(name));
        let what = || format!("{:?} can't be a role", name.chars().take(64).collect::<String>());
        match known.filter(|known| *known != name) {
            Some(meant) => Err((what(), format!("did you mean {meant:?}?"))),
            None => Self::parse(name).ok_or_else(|| {
                (
                    what(),
                    "a role is root, admin, user or one of your own: up to 64 letters, digits, - or _, no spaces"
                        .into(),
                )
            }),
        }
    }

    /// The name, as configuration and identity headers spell it.
    pub fn name(&self) -> &str {
        match self {
            Self::Root => "root",
            Self::Admin => "admin",
            Self::User => "user",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

fn is_token(name: &str) -> bool {
    let tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (1..=64).contains(&name.len()) && name.bytes().all(tchar)
}

#[cfg(test)]
mod tests {
    use super::Role;

    #[test]
    fn another_case_of_a_known_role_is_a_slip() {
        assert_eq!(Role::written("Root").unwrap_err().1, "did you mean \"root\"?");
        assert_eq!(Role::written("ADMIN").unwrap_err().0, "\"ADMIN\" can't be a role");
        assert_eq!(Role::written("admin"), Ok(Role::Admin));
        assert_eq!(Role::written("night-Shift").unwrap().name(), "night-Shift");
        assert!(Role::written("a b").unwrap_err().1.starts_with("a role is root"));
    }

    #[test]
    fn a_role_is_a_token_and_keeps_its_name() {
        assert_eq!(Role::parse("root"), Some(Role::Root));
        assert_eq!(Role::parse("night-shift").unwrap().name(), "night-shift");
        for bad in ["", "a b", "ä", "x,y", &"r".repeat(65)] {
            assert_eq!(Role::parse(bad), None, "{bad}");
        }
    }
}
