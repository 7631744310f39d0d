use std::sync::Arc;

use super::*;
use crate::fake_store::FakeStore;
use crate::{AuthError, MasterKey, Role, UNLIMITED};

const NOW: u64 = 1_000_000;

fn bench() -> (Arc<FakeStore>, KeyRing, tempfile::TempDir) {
    let store: Arc<FakeStore> = Arc::default();
    let dir = tempfile::tempdir().unwrap();
    let master = MasterKey::from_text("0123456789abcdef0123456789abcdef").unwrap();
    let ring = KeyRing::open(store.clone(), &master, dir.path(), None).unwrap();
    (store, ring, dir)
}

fn new(name: &str, grant: Grant) -> NewKey {
    NewKey { name: name.to_owned(), grant }
}

#[track_caller]
fn state(ring: &KeyRing, secret: &KeySecret, now_ms: u64) -> Option<AuthError> {
    ring.authenticate(Some(secret.expose()), now_ms).err()
}

#[tokio::test]
async fn a_key_that_could_do_nothing_is_not_made() {
    let (store, ring, _dir) = bench();
    for (wanted, expected) in [
        (new("  ", UNLIMITED), "a key needs a name"),
        (new(&"x".repeat(101), UNLIMITED), "a key's name has at most 100 characters, this one has 101"),
        (new("a", Grant { expires_ms: Some(NOW), ..UNLIMITED }), "the key would be expired from the start"),
        (
            new("a", Grant { concurrency: Some(0), ..UNLIMITED }),
            "a concurrency limit of 0 would let nothing through",
        ),
        (
            new("a", Grant { models: Some(vec![]), ..UNLIMITED }),
            "an empty list of models would let nothing through; leave it out for all models",
        ),
    ] {
        assert_eq!(ring.create(wanted, &UNLIMITED, NOW).await.unwrap_err().to_string(), expected);
    }
    assert_eq!(crate::KeyStore::list(&*store).await.unwrap().records, []);
}

#[tokio::test]
async fn nobody_makes_rotates_or_revokes_what_exceeds_him() {
    let (_store, ring, _dir) = bench();
    let weak = Grant { role: Role::Viewer, ..UNLIMITED };
    let strong = ring.create(new("strong", UNLIMITED), &UNLIMITED, NOW).await.unwrap();
    let id = strong.record.id;
    assert!(matches!(ring.create(new("a", UNLIMITED), &weak, NOW).await, Err(IssueError::Exceeds(_))));
    assert!(matches!(ring.rotate(id, 0, &weak, NOW).await, Err(IssueError::Exceeds(_))));
    assert!(matches!(ring.revoke(id, &weak, NOW).await, Err(IssueError::Exceeds(_))));
    assert_eq!(state(&ring, &strong.secret, NOW), None);
}

#[tokio::test]
async fn after_a_rotation_the_old_secret_works_for_the_grace_period_only() {
    let (_store, ring, _dir) = bench();
    let old = ring.create(new("a", UNLIMITED), &UNLIMITED, NOW).await.unwrap();
    let new = ring.rotate(old.record.id, 50, &UNLIMITED, NOW).await.unwrap();
    assert_eq!(new.record.id, old.record.id);
    assert_eq!(new.record.last4, new.secret.last4());
    assert_eq!([49, 50].map(|ms| state(&ring, &old.secret, NOW + ms)), [None, Some(AuthError::Expired)]);
    assert_eq!(state(&ring, &new.secret, NOW + 1_000), None);
}

#[tokio::test]
async fn a_second_rotation_ends_the_first_secret_at_once() {
    let (_store, ring, _dir) = bench();
    let first = ring.create(new("a", UNLIMITED), &UNLIMITED, NOW).await.unwrap();
    let second = ring.rotate(first.record.id, 50, &UNLIMITED, NOW).await.unwrap();
    let third = ring.rotate(first.record.id, 0, &UNLIMITED, NOW).await.unwrap();
    assert_eq!(
        [&first, &second, &third].map(|key| state(&ring, &key.secret, NOW)),
        [Some(AuthError::Unknown), Some(AuthError::Expired), None]
    );
}

#[tokio::test]
async fn a_revoked_key_gets_no_new_secret_and_keeps_its_first_time() {
    let (_store, ring, _dir) = bench();
    let key = ring.create(new("a", UNLIMITED), &UNLIMITED, NOW).await.unwrap();
    let old = ring.rotate(key.record.id, 50, &UNLIMITED, NOW).await.unwrap();
    ring.revoke(key.record.id, &UNLIMITED, NOW + 1).await.unwrap();
    let again = ring.revoke(key.record.id, &UNLIMITED, NOW + 9).await.unwrap();
    assert_eq!(again.revoked_ms, Some(NOW + 1));
    assert!(matches!(ring.rotate(key.record.id, 0, &UNLIMITED, NOW).await, Err(IssueError::Revoked(_))));
    assert_eq!([&key, &old].map(|key| state(&ring, &key.secret, NOW + 1)), [Some(AuthError::Revoked); 2]);
}

#[tokio::test]
async fn an_unknown_id_is_named() {
    let (_store, ring, _dir) = bench();
    let id = KeyId::from_parts(5, [1; 10]);
    let error = ring.revoke(id, &UNLIMITED, NOW).await.unwrap_err();
    assert_eq!(error.to_string(), format!("there is no key `{id}`"));
}

#[tokio::test]
async fn a_change_that_meets_another_is_tried_anew_and_not_for_ever() {
    let (store, ring, _dir) = bench();
    let key = ring.create(new("a", UNLIMITED), &UNLIMITED, NOW).await.unwrap();
    store.disturb(3);
    ring.revoke(key.record.id, &UNLIMITED, NOW).await.unwrap();
    store.disturb(4);
    let error = ring.revoke(key.record.id, &UNLIMITED, NOW).await.unwrap_err();
    assert!(matches!(error, IssueError::Store(error) if error.kind() == KeyStoreErrorKind::Conflict));
}

#[tokio::test]
async fn while_the_store_is_away_nothing_is_made_or_withdrawn() {
    let (store, ring, _dir) = bench();
    let key = ring.create(new("a", UNLIMITED), &UNLIMITED, NOW).await.unwrap();
    store.set_away(true);
    assert!(matches!(ring.create(new("b", UNLIMITED), &UNLIMITED, NOW).await, Err(IssueError::Store(_))));
    assert!(matches!(ring.revoke(key.record.id, &UNLIMITED, NOW).await, Err(IssueError::Store(_))));
    assert_eq!(state(&ring, &key.secret, NOW), None);
}
