use baton_model::BootId;

use super::*;

#[test]
fn a_signed_checkpoint_is_known_by_its_key() {
    assert!(check(|_| ()));
}

#[test]
fn another_time_is_found() {
    assert!(!check(|checkpoint| checkpoint.at_ms += 1));
}

#[test]
fn another_number_is_found() {
    assert!(!check(|checkpoint| checkpoint.head.seq += 1));
}

#[test]
fn another_hash_is_found() {
    assert!(!check(|checkpoint| checkpoint.head.hash = Hash::of(b"x").to_string()));
}

#[test]
fn another_chain_is_found() {
    assert!(!check(|checkpoint| checkpoint.head.boot = BootId::from_parts(2, [0; 10])));
}

#[test]
fn a_signature_that_is_no_base64_is_found() {
    assert!(!check(|checkpoint| checkpoint.signature = "%".to_owned()));
}

#[test]
fn another_signer_is_found() {
    assert!(!check(|checkpoint| {
        let other = CheckpointSigner::from_seed(&[8; 32]).unwrap();
        *checkpoint = other.sign(checkpoint.at_ms, checkpoint.head.clone());
    }));
}

#[test]
fn a_hash_reads_back_as_it_is_shown() {
    let hash = Hash::of(b"entry");
    assert_eq!(hash.to_string().parse(), Ok(hash));
    assert_eq!("zz".repeat(32).parse::<Hash>(), Err(HashError));
    assert_eq!("00".parse::<Hash>(), Err(HashError));
}

#[test]
fn a_link_depends_on_all_three_of_its_parts() {
    let base = Hash::GENESIS.link(1, Hash::of(b"a"));
    assert_ne!(base, Hash::of(b"b").link(1, Hash::of(b"a")));
    assert_ne!(base, Hash::GENESIS.link(2, Hash::of(b"a")));
    assert_ne!(base, Hash::GENESIS.link(1, Hash::of(b"b")));
}

/// Signs a checkpoint, changes it, and says whether the key still knows it.
fn check(change: impl FnOnce(&mut Checkpoint)) -> bool {
    let signer = CheckpointSigner::from_seed(&[7; 32]).unwrap();
    let head =
        ChainHead { boot: BootId::from_parts(1, [0; 10]), seq: 9, hash: Hash::of(b"nine").to_string() };
    let mut checkpoint = signer.sign(1_000, head);
    change(&mut checkpoint);
    signer.public_key().has_signed(&checkpoint)
}
