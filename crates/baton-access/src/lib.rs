//! Knows who is calling: the master key, API keys, principals and their limits, sealing, the loopback rule.
//! Beside the keys it keeps the policies that were put at run time: as text, without knowing what one means.
//!
//! A key is 256 random bits, so its HMAC is stored and looked up as it is: a slow hash would only
//! let a stranger burn the gateway's time. Every request costs one HMAC and one hash-map lookup in
//! a snapshot; nothing on that path waits for a lock or for the store.
//!
//! - Start with [`KeyRing::authenticate`] and [`MasterKey::derive`].
//! - **Invariant:** no secret is stored, logged or printed; it is shown once, when it is made.
//! - **Never here:** HTTP, SQL, status codes, a clock of its own.

mod epochs;
mod grant;
mod hash;
mod issue;
mod key;
mod loopback;
mod master;
mod policies;
mod port;
mod principal;
mod random;
mod ring;
mod row;
mod seal;
mod secret;
mod shelf;
mod snapshot;

pub use epochs::{EpochError, Epochs, SubjectKey};
pub use grant::{Exceeds, Grant, UNLIMITED};
pub use hash::sha256_hex;
pub use issue::{IssueError, IssuedKey, NewKey};
pub use key::{KeyMac, KeyRecord, Role, RotatedSecret, UnknownRole};
pub use loopback::{HostError, HostPolicy};
pub use master::{DerivedKey, Label, MasterKey, MasterKeyError, MasterKeySource};
pub use policies::{
    Canary, PolicyColumns, PolicyList, PolicyRow, PolicyState, PolicyStore, PolicyStoreError,
    PolicyStoreErrorKind, PolicyVersion,
};
pub use port::{BoxFuture, KeyList, KeyStore, KeyStoreError, KeyStoreErrorKind};
pub use principal::{Busy, Permit, Principal, PrincipalId};
pub use random::NoRandom;
pub use ring::{AdminKeyTooShort, AuthError, KeyRing, environment_admin_id};
pub use row::{KeyRow, revision_from};
pub use seal::{OpenError, Sealer};
pub use secret::{KeyHasher, KeySecret};
pub use shelf::{NoSelector, PolicyShelf, Selector, ShelfError};

#[cfg(test)]
mod fake_store;
