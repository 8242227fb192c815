//! Hashes of nobody. Where users are hidden each check verifies one hash of every cost that there is, in one order, the user's own in
//! its place: so that the time of a check does not tell whose it was, or that it was nobody's.

use std::collections::BTreeMap;
use std::sync::Arc;

use argon2::Params;

use super::hash::StoredHash;
use super::password::Password;

/// What verifying a hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cost {
    /// Next to nothing.
    A1,
    /// By its exponent.
    Bcrypt(u32),
    Argon2id(Argon2id),
}

/// How an argon2id hash was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Argon2id {
    /// 16 or 19.
    pub(super) version: u32,
    /// KiB.
    pub(super) memory: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
}

/// One hash of nobody for each cost; none, where users are not hidden.
#[derive(Clone, Default)]
pub(super) struct Decoys(Arc<[(Cost, StoredHash)]>);

impl Cost {
    /// Of a new hash.
    pub(super) const NEW: Self = Self::Argon2id(Argon2id {
        version: 19,
        memory: Params::DEFAULT_M_COST,
        passes: Params::DEFAULT_T_COST,
        lanes: Params::DEFAULT_P_COST,
    });

    /// Text of a hash that costs this, and of which nobody knows the password.
    fn decoy(self) -> String {
        match self {
            Self::A1 => "a1:00000000000000000000000000000000".into(),
            Self::Bcrypt(exponent) => {
                format!("$2b${exponent:02}$CCCCCCCCCCCCCCCCCCCCC................................")
            }
            Self::Argon2id(Argon2id { version, memory, passes, lanes }) => {
                format!("$argon2id$v={version}$m={memory},t={passes},p={lanes}$bm9ib2R5cyBzYWx0IQ${}", "A".repeat(43))
            }
        }
    }
}

impl Decoys {
    /// For all these costs, and always for those of an a1 and of a new hash.
    pub(super) fn of(costs: impl Iterator<Item = Cost>) -> Self {
        let decoy =
            |cost: Cost| (cost, StoredHash::parse(&cost.decoy()).expect("what another hash costs is acceptable"));
        let decoys: BTreeMap<_, _> = costs.chain([Cost::A1, Cost::NEW]).map(decoy).collect();
        Self(decoys.into_iter().collect())
    }

    /// What verifying costs each time.
    #[cfg(test)]
    pub(super) fn costs(&self) -> impl Iterator<Item = Cost> {
        self.0.iter().map(|(cost, _)| *cost)
    }

    /// Whether it is the password of that hash, whose user's name is stored so. Each decoy is verified, but where the hash takes
    /// its place.
    pub(super) fn verify(&self, own: Option<(&StoredHash, &str)>, password: &Password) -> bool {
        let own = own.map(|(hash, name)| (hash.cost(), hash, name));
        let (mut right, mut met) = (false, false);
        for (cost, decoy) in &*self.0 {
            match own {
                Some((own, hash, name)) if own == Some(*cost) => (right, met) = (hash.verify(name, password), true),
                _ => drop(std::hint::black_box(decoy.verify("nobody", password))),
            }
        }
        right || own.is_some_and(|(_, hash, name)| !met && hash.verify(name, password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.into())
    }

    #[test]
    fn a_decoy_costs_what_it_stands_for_and_has_no_password() {
        let argon2id = |version, memory, passes, lanes| Cost::Argon2id(Argon2id { version, memory, passes, lanes });
        let costs = [Cost::Bcrypt(4), Cost::Bcrypt(15), argon2id(16, 8, 1, 1), argon2id(19, 65_536, 10, 16)];
        let decoys = Decoys::of(costs.into_iter());
        assert_eq!(decoys.0.len(), 6, "and those of an a1 and of a new hash");
        for (cost, decoy) in &*decoys.0 {
            assert_eq!(decoy.cost(), Some(*cost));
            assert!(decoy.cost() == Some(Cost::Bcrypt(15)) || !decoy.verify("nobody", &password("secret")), "{cost:?}");
        }
    }

    #[test]
    fn only_the_hash_that_takes_the_place_of_a_decoy_makes_a_password_right() {
        let bcrypt = StoredHash::parse("$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW").unwrap();
        for decoys in [Decoys::default(), Decoys::of(std::iter::empty()), Decoys::of([Cost::Bcrypt(5)].into_iter())] {
            assert!(decoys.verify(Some((&bcrypt, "a")), &password("U*U")));
            assert!(!decoys.verify(Some((&bcrypt, "a")), &password("U*U*")));
            assert!(!decoys.verify(None, &password("U*U")));
        }
    }
}
