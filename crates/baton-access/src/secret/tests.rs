use std::collections::HashSet;

use super::*;
use crate::{Label, MasterKey};

#[test]
fn keys_have_the_prefix_and_43_letters_or_digits_and_never_repeat() {
    let keys: HashSet<String> =
        (0..500).map(|_| KeySecret::generate().unwrap().expose().to_owned()).collect();
    assert_eq!(keys.len(), 500);
    for key in &keys {
        let random = key.strip_prefix("bk_").unwrap();
        assert_eq!(random.len(), 43);
        assert!(random.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{key}");
    }
}

#[test]
fn every_character_is_drawn_about_as_often() {
    let mut counts = [0_u32; 128];
    for _ in 0..2_000 {
        for byte in KeySecret::generate().unwrap().expose().bytes().skip(3) {
            counts[usize::from(byte)] += 1;
        }
    }
    // 86,000 draws over 62 characters: 1,387 each, with a standard deviation of 37.
    for byte in ALPHABET {
        let count = counts[usize::from(*byte)];
        assert!((1_100..1_700).contains(&count), "{} was drawn {count} times", char::from(*byte));
    }
}

#[test]
fn printing_a_key_shows_nothing_of_it() {
    assert_eq!(format!("{:?}", KeySecret::generate().unwrap()), "KeySecret([secret])");
}

#[test]
fn the_mac_is_hmac_sha_256_under_the_derived_key() {
    let master = MasterKey::from_text("0123456789abcdef0123456789abcdef").unwrap();
    let hasher = KeyHasher::new(&master.derive(Label::KeyMac));
    assert_eq!(hasher.mac("bk_test").to_string(), "MndKjuAKvKpRIZ-ULIaC23p1WqKQP5OFDiIYDLC87HI");
    assert_ne!(hasher.mac("bk_test"), hasher.mac("bk_tesT"));
    assert_eq!(format!("{hasher:?}"), "KeyHasher([secret])");
}

#[test]
fn the_last_four_are_characters_not_bytes() {
    assert_eq!([last4("bk_abcdef"), last4("äöü€x"), last4("ab"), last4("")], ["cdef", "öü€x", "ab", ""]);
}
