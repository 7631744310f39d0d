use proptest::prelude::*;

use super::*;
use crate::{Label, MasterKey};

fn sealer(master: &str) -> Sealer {
    Sealer::new(&key(master))
}

fn key(master: &str) -> DerivedKey {
    MasterKey::from_text(&format!("{master}-0123456789abcdef0123456789abcdef"))
        .unwrap()
        .derive(Label::Sealing)
}

proptest! {
    #[test]
    fn what_is_sealed_opens_in_its_place_only(plain: Vec<u8>, place: Vec<u8>, other: Vec<u8>) {
        let sealer = sealer("a");
        let envelope = sealer.seal(&place, &plain).unwrap();
        prop_assert_eq!(sealer.open(&place, &envelope), Ok(plain));
        prop_assume!(place != other);
        prop_assert_eq!(sealer.open(&other, &envelope), Err(OpenError::Refused));
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
        prop_assert!(sealer("a").open(b"", &bytes).is_err());
    }
}

#[test]
fn two_swapped_envelopes_are_refused() {
    let sealer = sealer("a");
    let [first, second] = [b"row-1", b"row-2"].map(|row| sealer.seal(row, row).unwrap());
    assert_eq!(sealer.open(b"row-1", &second), Err(OpenError::Refused));
    assert_eq!(sealer.open(b"row-2", &first), Err(OpenError::Refused));
}

#[test]
fn every_single_flipped_bit_is_refused() {
    let sealer = sealer("a");
    let envelope = sealer.seal(b"row", b"text").unwrap();
    for at in 0..envelope.len() * 8 {
        let mut changed = envelope.clone();
        changed[at / 8] ^= 1 << (at % 8);
        let expected = match at / 8 {
            0 => OpenError::NotAnEnvelope,
            1..=4 => OpenError::UnknownKey,
            _ => OpenError::Refused,
        };
        assert_eq!(sealer.open(b"row", &changed), Err(expected), "bit {at}");
    }
}

#[test]
fn every_shorter_envelope_is_refused() {
    let sealer = sealer("a");
    let envelope = sealer.seal(b"row", b"text").unwrap();
    for len in 0..envelope.len() {
        assert!(sealer.open(b"row", &envelope[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn the_end_of_the_header_is_not_the_start_of_the_context() {
    let sealer = sealer("a");
    let envelope = sealer.seal(b"", b"text").unwrap();
    assert_eq!(sealer.open(&envelope[..1], &envelope), Err(OpenError::Refused));
}

#[test]
fn a_text_sealed_twice_never_looks_the_same() {
    let sealer = sealer("a");
    let [first, second] = [(); 2].map(|()| sealer.seal(b"row", b"text").unwrap());
    assert_ne!(first[5..17], second[5..17]);
    assert_ne!(first[29..], second[29..]);
}

#[test]
fn after_a_change_of_the_master_key_old_envelopes_open_with_the_old_key_only() {
    let old = sealer("a").seal(b"row", b"text").unwrap();
    assert_eq!(sealer("b").open(b"row", &old), Err(OpenError::UnknownKey));
    let both = sealer("b").with_older(&key("a"));
    assert_eq!(both.open(b"row", &old).unwrap(), b"text");
    assert_eq!(sealer("b").open(b"row", &both.seal(b"row", b"new").unwrap()).unwrap(), b"new");
}
