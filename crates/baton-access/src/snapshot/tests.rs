use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::{Grant, KeyMac, KeyRecord, Label, MasterKey, UNLIMITED};

fn file(dir: &Path, master: &str) -> SnapshotFile {
    let master = MasterKey::from_text(&format!("{master}-0123456789abcdef0123456789abcdef")).unwrap();
    SnapshotFile::new(dir.join("keys.json"), &master.derive(Label::KeySnapshot))
}

fn list(revision: u64) -> KeyList {
    let Grant { role, models, byok, concurrency, expires_ms } = UNLIMITED;
    let record = KeyRecord {
        id: baton_model::KeyId::from_parts(1, [7; 10]),
        name: "laptop".to_owned(),
        mac: KeyMac::from_bytes([1; 32]),
        last4: "abcd".to_owned(),
        rotated_from: None,
        role,
        models,
        byok,
        concurrency,
        created_ms: 1,
        expires_ms,
        revoked_ms: None,
        revision,
    };
    KeyList { revision, records: vec![record] }
}

#[test]
fn a_written_list_reads_back_and_is_for_the_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), "a").write(&list(3)).unwrap();
    assert_eq!(file(dir.path(), "a").read().unwrap(), Some(list(3)));
    assert_eq!(fs::metadata(dir.path().join("keys.json")).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn no_file_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(file(dir.path(), "a").read().unwrap(), None);
}

#[test]
fn an_older_list_does_not_replace_a_newer_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path(), "a");
    file.write(&list(3)).unwrap();
    file.write(&list(2)).unwrap();
    assert_eq!(file.read().unwrap().unwrap().revision, 3);
}

#[test]
fn what_an_unclean_end_left_behind_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("keys.json.new"), "half").unwrap();
    file(dir.path(), "a").write(&list(1)).unwrap();
    assert_eq!(file(dir.path(), "a").read().unwrap(), Some(list(1)));
}

#[test]
fn a_changed_file_and_one_of_another_master_key_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    file(dir.path(), "a").write(&list(1)).unwrap();
    assert!(matches!(file(dir.path(), "b").read(), Err(SnapshotError::Forged { .. })));
    let changed = fs::read_to_string(&path).unwrap().replace("\"byok\":true", "\"byok\":false");
    fs::write(&path, changed).unwrap();
    assert!(matches!(file(dir.path(), "a").read(), Err(SnapshotError::Forged { .. })));
}

#[test]
fn a_cut_file_is_refused_at_every_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    file(dir.path(), "a").write(&list(1)).unwrap();
    let whole = fs::read(&path).unwrap();
    for len in 0..whole.len() {
        fs::write(&path, &whole[..len]).unwrap();
        assert!(matches!(file(dir.path(), "a").read(), Err(SnapshotError::Malformed { .. })), "{len} bytes");
    }
}
