//! What this crate uses of `DashMap`, as one shard that is a list behind loom's lock. How a real one is divided is no concern here:
//! its own races are its authors', and fewer locks only make the orders of events coarser, never other ones.

use std::borrow::Borrow;
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;

use loom::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

type List<K, V> = Vec<(K, V)>;

/// Stands in for `dashmap::DashMap`.
#[derive(Debug)]
pub(crate) struct DashMap<K, V, S> {
    list: RwLock<List<K, V>>,
    hasher: PhantomData<fn() -> S>,
}

impl<K: Eq, V, S> DashMap<K, V, S> {
    pub(crate) fn with_capacity_and_hasher_and_shard_amount(_: usize, _: S, _: usize) -> Self {
        Self { list: RwLock::new(Vec::new()), hasher: PhantomData }
    }

    pub(crate) fn get<Q: Eq + ?Sized>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        K: Borrow<Q>,
    {
        let list = self.list.read().expect("no panic");
        let at = list.iter().position(|(known, _)| known.borrow() == key)?;
        Some(Ref { list: Rc::new(list), at })
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        let mut list = self.list.write().expect("no panic");
        list.retain(|(known, _)| *known != key);
        list.push((key, value));
    }

    pub(crate) fn remove<Q: Eq + ?Sized>(&self, key: &Q) -> Option<(K, V)>
    where
        K: Borrow<Q>,
    {
        let mut list = self.list.write().expect("no panic");
        let at = list.iter().position(|(known, _)| known.borrow() == key)?;
        Some(list.remove(at))
    }

    pub(crate) fn remove_if_mut<Q: Eq + ?Sized>(&self, key: &Q, unwanted: impl FnOnce(&K, &mut V) -> bool)
    where
        K: Borrow<Q>,
    {
        let mut list = self.list.write().expect("no panic");
        let Some(at) = list.iter().position(|(known, _)| known.borrow() == key) else { return };
        let (key, value) = &mut list[at];
        if unwanted(key, value) {
            list.remove(at);
        }
    }

    pub(crate) fn entry(&self, key: K) -> Entry<'_, K, V> {
        let list = self.list.write().expect("no panic");
        match list.iter().position(|(known, _)| *known == key) {
            Some(at) => Entry::Occupied(Occupied { list, at }),
            None => Entry::Vacant(Vacant { list, key }),
        }
    }

    /// Holds the lock to the end, as the real one holds a shard's.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Ref<'_, K, V>> {
        let list = Rc::new(self.list.read().expect("no panic"));
        (0..list.len()).map(move |at| Ref { list: list.clone(), at })
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.list.read().expect("no panic").len()
    }
}

/// Somebody's entry, to be read.
pub(crate) struct Ref<'a, K, V> {
    list: Rc<RwLockReadGuard<'a, List<K, V>>>,
    at: usize,
}

impl<K, V> Ref<'_, K, V> {
    pub(crate) fn key(&self) -> &K {
        &self.list[self.at].0
    }
}

impl<K, V> Deref for Ref<'_, K, V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.list[self.at].1
    }
}

/// An entry, under the lock.
pub(crate) enum Entry<'a, K, V> {
    Occupied(Occupied<'a, K, V>),
    Vacant(Vacant<'a, K, V>),
}

/// An entry that is there.
pub(crate) struct Occupied<'a, K, V> {
    list: RwLockWriteGuard<'a, List<K, V>>,
    at: usize,
}

/// An entry that is not there.
pub(crate) struct Vacant<'a, K, V> {
    list: RwLockWriteGuard<'a, List<K, V>>,
    key: K,
}

impl<K, V> Occupied<'_, K, V> {
    pub(crate) fn get_mut(&mut self) -> &mut V {
        &mut self.list[self.at].1
    }
}

impl<'a, K, V> Vacant<'a, K, V> {
    /// The lock, for as long as the caller wants to hold it.
    pub(crate) fn insert(mut self, value: V) -> impl Sized + use<'a, K, V> {
        self.list.push((self.key, value));
        self.list
    }
}
