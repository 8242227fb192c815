//! What checks of passwords cost, by the kinds of hashes that there are. Where users are hidden each check pays for all of them, so
//! that its time does not tell whose it was, or that it was nobody's.

use std::hint::black_box;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};

use super::password::Password;

/// The work of one kind of hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    /// In KiB, passes and lanes.
    Argon2id(u32, u32, u32),
    /// By its exponent.
    Bcrypt(u32),
}

impl Cost {
    /// Of a new hash.
    pub(super) const NEW: Self = Self::Argon2id(Params::DEFAULT_M_COST, Params::DEFAULT_T_COST, Params::DEFAULT_P_COST);

    /// Works as hard as a check of such a hash.
    pub(super) fn pay(self, password: &Password) {
        match self {
            Self::Argon2id(memory, passes, lanes) => {
                let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
                let params = Params::new(memory, passes, lanes, None).unwrap_or(Params::DEFAULT);
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                let done = argon2.hash_password_into(password.as_bytes(), b"a salt for nobody", &mut out);
                black_box((done.is_ok(), out));
            }
            Self::Bcrypt(exponent) => {
                let nobodys = format!("$2b${exponent:02}$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
                black_box(bcrypt::verify(password.as_bytes(), &nobodys).is_ok());
            }
        }
    }
}

/// Each cost once, that of a new hash among them.
pub(super) fn distinct(costs: impl Iterator<Item = Cost>) -> Arc<[Cost]> {
    let mut distinct = vec![Cost::NEW];
    for cost in costs {
        if !distinct.contains(&cost) {
            distinct.push(cost);
        }
    }
    distinct.into()
}
