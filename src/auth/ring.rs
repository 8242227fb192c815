//! The ring of token secrets: the first signs, all are remembered. Knows no sessions.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use uuid::Uuid;

use super::token::AccessToken;
use crate::config::{Located, Problems, Secret, Tokens};
use crate::{plain_file, unreadable};

/// The most bytes of a secret: what is longer is some other file.
const LONGEST: u64 = 64 * 1024;
/// HS256 takes any key; a shorter one than its digest is weaker than it looks (RFC 7518, section 3.2).
const SHORTEST: usize = 32;

/// Which secret signed a token, without telling anything about the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SecretId(u64);

/// The token secrets; the first signs.
pub struct Ring {
    first: Signer,
    others: Vec<SecretId>,
}

struct Signer {
    id: SecretId,
    key: EncodingKey,
}

#[derive(Serialize)]
struct Claims<'a> {
    /// Milliseconds, as the clients of the contract read it, not the seconds of RFC 7519.
    exp: u64,
    jti: &'a str,
}

impl Ring {
    /// Reads every secret file as raw bytes, nothing trimmed. A file that can't be read or holds fewer than 32 bytes
    /// is a problem; one that others can read is warned about.
    pub fn load(tokens: &Tokens, problems: &mut Problems) -> Option<Self> {
        let secrets: Vec<_> = tokens.secret_files.iter().map(|file| read_secret(file, problems)).collect();
        let secrets = secrets.into_iter().collect::<Option<Vec<_>>>()?;
        let first = Signer::new(secrets.first()?);
        Some(Self { first, others: secrets.iter().skip(1).map(secret_id).collect() })
    }

    /// A ring of one random secret that nobody keeps.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn generate() -> Self {
        let mut bytes = [0; 64];
        aws_lc_rs::rand::fill(&mut bytes).expect("the kernel has random bytes");
        Self { first: Signer::new(&Secret::new(bytes.to_vec())), others: Vec::new() }
    }

    /// A new token that ends at `expires_millis` since the Unix epoch, no two alike, and the secret that signed it.
    pub fn sign(&self, expires_millis: u64) -> (AccessToken, SecretId) {
        let mut buffer = Uuid::encode_buffer();
        let claims = Claims { exp: expires_millis, jti: Uuid::new_v4().hyphenated().encode_lower(&mut buffer) };
        let jwt = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.first.key);
        (AccessToken::new(jwt.expect("HS256 signs with any key")), self.first.id)
    }

    /// Every secret, the signing one first.
    pub fn ids(&self) -> impl Iterator<Item = SecretId> + '_ {
        std::iter::once(self.first.id).chain(self.others.iter().copied())
    }

    /// Whether the secret is still in the ring.
    pub fn contains(&self, id: SecretId) -> bool {
        self.ids().any(|known| known == id)
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl Signer {
    fn new(secret: &Secret) -> Self {
        Self { id: secret_id(secret), key: EncodingKey::from_secret(secret.expose()) }
    }
}

/// An HMAC and never a plain hash: whoever sees the id can't look for the same secret elsewhere.
fn secret_id(secret: &Secret) -> SecretId {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
    let tag = hmac::sign(&key, b"gatewarden: the id of a token secret");
    let mut id = [0; 8];
    id.copy_from_slice(&tag.as_ref()[..8]);
    SecretId(u64::from_be_bytes(id))
}

fn read_secret(file: &Located<PathBuf>, problems: &mut Problems) -> Option<Secret> {
    match read(&file.value) {
        Ok(secret) if secret.expose().len() >= SHORTEST => Some(secret),
        Ok(secret) => {
            let what = format!("token secret {} has {} bytes", file.value.display(), secret.expose().len());
            problems.add(
                &file.place,
                what,
                format!("a secret has at least {SHORTEST}; name another, or {}", make(&file.value)),
            );
            None
        }
        Err(error) => {
            let (what, fix) = unreadable::explain(&file.value, &error, &make(&file.value));
            problems.add(&file.place, format!("token secret {what}"), fix);
            None
        }
    }
}

fn make(path: &Path) -> String {
    format!("make one with: gatewarden secret new {}", path.display())
}

fn read(path: &Path) -> io::Result<Secret> {
    plain_file::read_private("a token secret", path, LONGEST).map(Secret::new)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{DecodingKey, Validation, decode};
    use serde_json::Value;

    use super::*;
    use crate::config::Place;

    fn tokens(folder: &Path, secrets: &[&[u8]]) -> Tokens {
        let file = |(number, bytes): (usize, &&[u8])| {
            let path = folder.join(format!("{number}.key"));
            std::fs::write(&path, bytes).unwrap();
            Located { value: path, place: Place::whole(Path::new("gatewarden.toml")) }
        };
        Tokens { secret_files: secrets.iter().enumerate().map(file).collect() }
    }

    fn load(secrets: &[&[u8]]) -> (Option<Ring>, Problems) {
        let folder = tempfile::tempdir().unwrap();
        let mut problems = Problems::default();
        (Ring::load(&tokens(folder.path(), secrets), &mut problems), problems)
    }

    fn claims(token: &AccessToken, secret: &[u8]) -> jsonwebtoken::errors::Result<Value> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        decode::<Value>(token.expose(), &DecodingKey::from_secret(secret), &validation).map(|data| data.claims)
    }

    #[test]
    fn a_token_has_the_header_and_the_claims_of_the_contract() {
        let secret = [7; 32];
        let (token, _) = load(&[&secret]).0.unwrap().sign(1_442_002_179_358);
        let header = URL_SAFE_NO_PAD.decode(token.expose().split('.').next().unwrap()).unwrap();
        assert_eq!(header, br#"{"typ":"JWT","alg":"HS256"}"#);
        assert!(token.expose().starts_with("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9."));
        let claims = claims(&token, &secret).unwrap();
        assert_eq!(claims["exp"], 1_442_002_179_358_u64);
        assert!(Uuid::parse_str(claims["jti"].as_str().unwrap()).is_ok());
        assert_eq!(claims.as_object().unwrap().len(), 2);
    }

    #[test]
    fn no_token_is_longer_than_what_is_looked_at() {
        let (token, _) = load(&[&[7; 32]]).0.unwrap().sign(u64::MAX);
        assert!(token.expose().len() <= AccessToken::MOST);
    }

    #[test]
    fn the_first_secret_signs_with_every_byte_of_its_file() {
        let secret: Vec<u8> = [b" \n".as_slice(), &[255; 32], b"\n"].concat();
        let (token, id) = load(&[&secret, &[2; 40]]).0.unwrap().sign(1);
        assert!(claims(&token, &secret).is_ok());
        assert!(claims(&token, secret.trim_ascii()).is_err());
        assert!(claims(&token, &[2; 40]).is_err());
        assert_eq!(id, load(&[&secret]).0.unwrap().ids().next().unwrap());
    }

    #[test]
    fn what_is_too_long_to_be_a_secret_is_a_problem() {
        let longest = usize::try_from(LONGEST).unwrap();
        assert!(load(&[&vec![b'x'; longest]]).0.is_some());
        let (ring, problems) = load(&[&vec![b'x'; longest + 1]]);
        assert!(
            ring.is_none() && problems.to_string().contains("it is larger than 64 KiB; name the right file"),
            "{problems}"
        );
    }

    #[test]
    fn a_rotation_keeps_the_old_secret_known() {
        let old = load(&[&[1; 32]]).0.unwrap().ids().next().unwrap();
        assert!(load(&[&[2; 32], &[1; 32]]).0.unwrap().contains(old));
        assert!(!load(&[&[2; 32]]).0.unwrap().contains(old));
    }

    #[test]
    fn every_bad_secret_is_a_problem_and_none_is_printed() {
        let (ring, problems) = load(&[b"short-planted-secret", &[1; 32], b""]);
        assert!(ring.is_none());
        assert_eq!(problems.iter().count(), 2);
        assert!(!problems.to_string().contains("planted"));
        let missing = Located { value: "/nowhere/token.key".into(), place: Place::whole(Path::new("g.toml")) };
        let mut problems = Problems::default();
        assert!(Ring::load(&Tokens { secret_files: vec![missing] }, &mut problems).is_none());
        assert!(problems.to_string().ends_with("; make one with: gatewarden secret new /nowhere/token.key\n"));
    }

    #[test]
    fn a_folder_is_no_secret_to_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let named = Located { value: folder.path().to_owned(), place: Place::whole(Path::new("g.toml")) };
        let mut problems = Problems::default();
        assert!(Ring::load(&Tokens { secret_files: vec![named] }, &mut problems).is_none());
        assert!(problems.to_string().ends_with("is a directory; name a file in it\n"), "{problems}");
    }

    #[test]
    fn two_tokens_of_one_millisecond_differ() {
        let ring = Ring::generate();
        assert_ne!(ring.sign(5).0.expose(), ring.sign(5).0.expose());
    }
}
