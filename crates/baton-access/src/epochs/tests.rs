use std::convert::Infallible;

use tempfile::TempDir;

use super::*;
use crate::MasterKeySource;

fn open(dir: &TempDir, master: &str) -> Epochs {
    let source = MasterKeySource::Value(baton_model::Secret::new(master.to_owned()));
    Epochs::open(dir.path().join("keys"), &MasterKey::load(&source).unwrap()).unwrap()
}

const MASTER: &str = "0123456789abcdef0123456789ABCDEF";

/// The epoch and the envelope of a text.
fn seal(epochs: &Epochs, now_ms: u64, seq: u64) -> (String, Vec<u8>) {
    let mut sealed = None;
    let written = epochs.seal::<Infallible>(now_ms, "user_a", b"place", b"text", |epoch, envelope| {
        sealed = Some((epoch.to_owned(), envelope));
        Ok(seq)
    });
    written.unwrap().unwrap();
    sealed.unwrap()
}

fn files(dir: &TempDir) -> usize {
    fs::read_dir(dir.path().join("keys")).unwrap().count()
}

#[test]
fn the_key_that_the_store_gets_opens_what_was_sealed_and_nothing_of_another_subject() {
    let dir = TempDir::new().unwrap();
    let epochs = open(&dir, MASTER);
    let (epoch, envelope) = seal(&epochs, 5, 1);
    let key = epochs.key_of("user_a", &epoch).unwrap().unwrap();
    assert_eq!(key.began_ms, 5);
    let of = |subject| epochs.unseal((subject, &epoch), &key.sealed, b"place", &envelope);
    assert_eq!(of("user_a").unwrap(), b"text");
    assert_eq!(of("user_b").unwrap_err(), OpenError::Refused);
    let other = epochs.key_of("user_b", &epoch).unwrap().unwrap();
    let swapped = epochs.unseal(("user_b", &epoch), &other.sealed, b"place", &envelope);
    assert_eq!(swapped.unwrap_err(), OpenError::UnknownKey);
}

#[test]
fn a_crash_leaves_the_key_for_the_next_process_and_no_other_master_key() {
    let dir = TempDir::new().unwrap();
    let (epoch, envelope) = seal(&open(&dir, MASTER), 5, 1);
    assert!(open(&dir, &MASTER.to_lowercase()).key_of("user_a", &epoch).unwrap().is_none());
    let next = open(&dir, MASTER);
    let key = next.key_of("user_a", &epoch).unwrap().unwrap();
    assert_eq!(next.unseal(("user_a", &epoch), &key.sealed, b"place", &envelope).unwrap(), b"text");
    assert_ne!(seal(&next, 6, 1).0, epoch, "an epoch is of one process");
}

#[test]
fn an_epoch_is_destroyed_once_it_is_over_and_stored() {
    let dir = TempDir::new().unwrap();
    let epochs = open(&dir, MASTER);
    let (epoch, _) = seal(&epochs, 5, 7);
    assert_eq!((epochs.destroy(7).unwrap(), files(&dir)), (0, 1), "it is not over");
    epochs.end(5);
    assert_eq!((epochs.destroy(6).unwrap(), files(&dir)), (1, 1), "the store has not all of it");
    assert_eq!((epochs.destroy(7).unwrap(), files(&dir)), (0, 0));
    assert!(epochs.key_of("user_a", &epoch).unwrap().is_none());
}

#[test]
fn an_epoch_ends_by_itself_after_an_hour() {
    let dir = TempDir::new().unwrap();
    let epochs = open(&dir, MASTER);
    let (first, _) = seal(&epochs, 5, 1);
    assert_eq!(seal(&epochs, 4 + LONGEST_MS, 2).0, first);
    assert_ne!(seal(&epochs, 5 + LONGEST_MS, 3).0, first);
}

#[test]
fn what_is_sealed_after_an_end_is_of_a_later_epoch() {
    let dir = TempDir::new().unwrap();
    let epochs = open(&dir, MASTER);
    let (first, _) = seal(&epochs, 5, 1);
    epochs.end(5);
    let (second, _) = seal(&epochs, 5, 2);
    assert_ne!(first, second);
    assert_eq!(epochs.key_of("user_a", &second).unwrap().unwrap().began_ms, 6);
}
