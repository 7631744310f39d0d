use proptest::prelude::*;

use super::*;

#[test]
fn no_two_places_read_alike() {
    let [a, b] = ["ab", "b"].map(Subject::principal);
    let place = |subject, column, row, part| Place { subject, column, row, part }.context();
    let places = [
        place(&a, "t.c", "row", ""),
        place(&b, "t.c", "row", ""),
        place(&b, "t.c", "row", "a"),
        place(&b, "t.c", "rowa", ""),
        place(&b, "t.cr", "ow", ""),
        place(&b, "t.c", "", "row"),
    ];
    for (number, place) in places.iter().enumerate() {
        assert!(!places.iter().skip(number + 1).any(|other| other == place), "place {number}");
    }
}

#[test]
fn what_repeats_itself_is_packed_and_what_does_not_is_left() {
    let long = vec![b'a'; 10_000];
    assert!(pack(&long).unwrap().len() < 100);
    let short = [b'a'; SMALL];
    assert_eq!(pack(&short).unwrap().len(), SMALL + 1);
    let noise: Vec<_> = (0..4_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    assert!(pack(&noise).unwrap().len() <= noise.len() + 1);
}

#[test]
fn what_claims_to_be_too_large_is_not_unpacked() {
    let mut packed = pack(&vec![b'a'; 10_000]).unwrap();
    packed.splice(1..5, u32::MAX.to_le_bytes());
    assert_eq!(unpack(&packed), None);
    packed.splice(1..5, 9_999_u32.to_le_bytes());
    assert_eq!(unpack(&packed), None, "nor what is longer than it claims");
    packed.splice(1..5, 10_001_u32.to_le_bytes());
    assert_eq!(unpack(&packed), None, "nor what is shorter");
    for broken in [[].as_slice(), &[2, 1], &[PACKED], &[PACKED, 1, 0, 0, 0], &[PACKED, 1, 0, 0, 0, 9]] {
        assert_eq!(unpack(broken), None);
    }
}

proptest! {
    #[test]
    fn everything_comes_back(plain in prop::collection::vec(any::<u8>(), 0..2_000), times in 1_usize..5) {
        let plain = plain.repeat(times);
        prop_assert_eq!(unpack(&pack(&plain).unwrap()), Some(plain));
    }

    #[test]
    fn whatever_is_unpacked_never_panics(packed in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(unpack(&packed));
    }
}
