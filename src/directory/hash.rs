//! Stored password hashes: argon2id, bcrypt and a1. Knows how to compare, not whose they are.

use std::str::FromStr;

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use super::decoys::{Argon2id, Cost};
use super::password::Password;

/// KiB.
const MOST_MEMORY: u32 = 64 * 1024;
const MOST_PASSES: u32 = 10;
const MOST_LANES: u32 = 16;
/// A bcrypt check doubles with each; 15 takes seconds.
const MOST_COST: u32 = 15;
/// Bytes that bcrypt looks at.
const BCRYPT_LONGEST: usize = 72;

/// A stored hash, checked when it was read.
#[derive(Clone)]
pub(super) enum StoredHash {
    /// PHC string format.
    Argon2id(Box<Phc>),
    /// Modular crypt format.
    Bcrypt(Box<str>),
    /// md5 of `user:domain:password`, as the engine stores it.
    A1([u8; 16]),
}

impl StoredHash {
    /// Reads a hash.
    ///
    /// # Errors
    /// What is wrong with it; never a part of it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(hex) = text.strip_prefix("a1:") {
            return unhex(hex).map(Self::A1).ok_or_else(|| "an a1 hash has 32 hexadecimal digits".into());
        }
        if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            return check_bcrypt(text).map(|()| Self::Bcrypt(text.into()));
        }
        if text.starts_with("$argon2id$") {
            return check_argon2id(text).map(|phc| Self::Argon2id(Box::new(phc)));
        }
        Err(if text.starts_with("$argon2") { "of argon2 only argon2id is accepted" } else { "not a known hash" }.into())
    }

    /// A new argon2id hash with the default parameters (19 MiB, 2 passes, 1 lane) in PHC string format.
    pub(super) fn create(password: &Password) -> String {
        let phc = Argon2::default().hash_password(password.as_bytes());
        phc.expect("argon2id takes any password of a kilobyte").to_string()
    }

    /// Whether it is the password of the user whose name is stored so. False without hashing where it can't be.
    pub(super) fn verify(&self, stored_name: &str, password: &Password) -> bool {
        match self {
            Self::Argon2id(phc) => Argon2::default().verify_password(password.as_bytes(), &**phc).is_ok(),
            Self::Bcrypt(hash) => self.fits(password) && bcrypt::verify(password.as_bytes(), hash).unwrap_or(false),
            Self::A1(digest) => a1(stored_name, password).ct_eq(digest).into(),
        }
    }

    /// Whether the password is short enough for the algorithm to look at all of it.
    pub(super) fn fits(&self, password: &Password) -> bool {
        !matches!(self, Self::Bcrypt(_)) || password.as_bytes().len() <= BCRYPT_LONGEST
    }

    /// What verifying costs; absent where it can't be done at all.
    pub(super) fn cost(&self) -> Option<Cost> {
        match self {
            Self::Argon2id(phc) => {
                let params = Params::try_from(&phc.params).ok()?;
                let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
                let version = phc.version.unwrap_or(Version::default().into());
                Some(Cost::Argon2id(Argon2id { version, memory, passes, lanes }))
            }
            Self::Bcrypt(hash) => bcrypt::HashParts::from_str(hash).ok().map(|parts| Cost::Bcrypt(parts.get_cost())),
            Self::A1(_) => Some(Cost::A1),
        }
    }

    /// Whether it is what new hashes are.
    pub(super) fn is_current(&self) -> bool {
        matches!(self, Self::Argon2id(_))
    }

    /// What it is, for a listing.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Argon2id(_) => "argon2id",
            Self::Bcrypt(_) => "bcrypt",
            Self::A1(_) => "a1",
        }
    }
}

/// The name as stored with its first `@` turned to `:`, then `:password`.
fn a1(stored_name: &str, password: &Password) -> [u8; 16] {
    let mut md5 = Md5::new();
    md5.update(stored_name.replacen('@', ":", 1));
    md5.update(b":");
    md5.update(password.as_bytes());
    md5.finalize().into()
}

fn unhex(hex: &str) -> Option<[u8; 16]> {
    let digits = hex.bytes().all(|digit| digit.is_ascii_hexdigit());
    (hex.len() == 32 && digits).then(|| u128::from_str_radix(hex, 16).ok()).flatten().map(u128::to_be_bytes)
}

fn check_bcrypt(text: &str) -> Result<(), String> {
    let parts = bcrypt::HashParts::from_str(text).map_err(|_| "not a well-formed bcrypt hash")?;
    if !(4..=MOST_COST).contains(&parts.get_cost()) {
        return Err(format!("a bcrypt cost is from 4 to {MOST_COST}"));
    }
    Ok(())
}

fn check_argon2id(text: &str) -> Result<Phc, String> {
    let malformed = |_| "not a well-formed argon2id hash";
    let phc = Phc::new(text).map_err(malformed)?;
    let params = Params::try_from(&phc.params).map_err(|_| "argon2 parameters that make no sense")?;
    if params.m_cost() > MOST_MEMORY || params.t_cost() > MOST_PASSES || params.p_cost() > MOST_LANES {
        return Err(format!("argon2 parameters are at most m={MOST_MEMORY},t={MOST_PASSES},p={MOST_LANES}"));
    }
    let known = phc.version.is_none_or(|version| Version::try_from(version).is_ok());
    let complete = phc.salt.is_some_and(|salt| salt.len() >= 8) && phc.hash.is_some_and(|hash| hash.len() >= 16);
    if known && complete { Ok(phc) } else { Err("not a complete argon2id hash of version 16 or 19".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.into())
    }

    #[test]
    fn an_a1_hash_is_of_name_domain_and_password() {
        // printf '100:mydomain.com:secret' | md5sum
        let hash = StoredHash::parse("a1:7129f01c6a40d81aca9d10d8e3f1bd8c").unwrap();
        assert!(hash.verify("100@mydomain.com", &password("secret")));
        assert!(!hash.verify("100@mydomain.com", &password("Secret")));
        assert!(!hash.verify("100@MyDomain.com", &password("secret")), "the name counts as stored");
        assert_eq!(a1("a@b@c", &password("x")), <[u8; 16]>::from(Md5::digest(b"a:b@c:x")));
        assert_eq!(a1("root", &password("x")), <[u8; 16]>::from(Md5::digest(b"root:x")));
    }

    #[test]
    fn known_bcrypt_answers_hold_for_every_prefix() {
        // From the test vectors of the original crypt_blowfish.
        let rest = "05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        for prefix in ["$2a$", "$2b$", "$2y$"] {
            let hash = StoredHash::parse(&format!("{prefix}{rest}")).unwrap();
            assert!(hash.verify("any", &password("U*U")), "{prefix}");
            assert!(!hash.verify("any", &password("U*U*")), "{prefix}");
        }
    }

    #[test]
    fn bcrypt_never_cuts_a_password_off() {
        let longest = "p".repeat(72);
        let hash = StoredHash::parse(&bcrypt::hash(&longest, 4).unwrap()).unwrap();
        assert!(hash.verify("any", &password(&longest)));
        assert!(!hash.verify("any", &password(&format!("{longest}p"))));
    }

    #[test]
    fn known_argon2id_answers_hold() {
        // echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1
        let hash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let hash = StoredHash::parse(hash).unwrap();
        assert!(hash.verify("any", &password("password")));
        assert!(!hash.verify("any", &password("differentpassword")));
    }

    #[test]
    fn a_new_hash_verifies_and_has_the_default_parameters() {
        let text = StoredHash::create(&password("secret"));
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let hash = StoredHash::parse(&text).unwrap();
        assert!(hash.is_current() && hash.verify("any", &password("secret")));
        assert!(!hash.verify("any", &password("")));
    }

    #[test]
    fn what_is_no_hash_or_costs_too_much_is_refused_without_repeating_it() {
        let tail = "c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        for bad in [
            "".into(),
            "planted".into(),
            "a1:planted".into(),
            format!("a1:{}", "+".repeat(32)),
            "$2b$16$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".into(),
            "$2b$05$planted".into(),
            "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".into(),
            format!("$argon2id$v=19$m=65537,t=2,p=1${tail}"),
            format!("$argon2id$v=19$m=65536,t=11,p=1${tail}"),
            format!("$argon2id$v=19$m=65536,t=2,p=17${tail}"),
            format!("$argon2id$v=18$m=65536,t=2,p=1${tail}"),
            format!("$argon2i$v=19$m=65536,t=2,p=1${tail}"),
            format!("$argon2d$v=19$m=65536,t=2,p=1${tail}"),
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ".into(),
            "$argon2id$planted".into(),
        ] {
            let error = StoredHash::parse(&bad).err().unwrap_or_else(|| panic!("{bad} was accepted"));
            assert!(!error.contains("planted"));
        }
    }
}
