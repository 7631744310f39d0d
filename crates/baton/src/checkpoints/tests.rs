use tempfile::TempDir;

use super::*;

#[test]
fn what_was_appended_is_read_back_in_order() {
    let (_dir, path) = file(None);
    append(&path, line(1)).unwrap();
    append(&path, line(2)).unwrap();
    check(&path, &[1, 2], 0);
}

#[test]
fn a_line_that_a_crash_cut_short_costs_no_other() {
    let (_dir, path) = file(Some(&line(1)[..40]));
    append(&path, line(2)).unwrap();
    append(&path, line(3)).unwrap();
    check(&path, &[2, 3], 1);
}

#[test]
fn a_message_of_a_webhook_is_read_too() {
    let message = [br#"{"type":"audit.checkpoint","timestamp":"x","data":"#, &line(4)[..], b"}\n"].concat();
    let (_dir, path) = file(Some(&message));
    check(&path, &[4], 0);
}

fn file(content: Option<&[u8]>) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("checkpoints.ndjson");
    if let Some(content) = content {
        std::fs::write(&path, content).unwrap();
    }
    (dir, path)
}

fn line(at_ms: u64) -> Vec<u8> {
    let boot = "boot_0192f0c1d2e37000800000000000000a";
    let head = serde_json::json!({"boot": boot, "seq": 1, "hash": "00"});
    serde_json::to_vec(&serde_json::json!({"at_ms": at_ms, "head": head, "signature": "s", "signer": "k"}))
        .unwrap()
}

#[track_caller]
fn check(path: &Path, times: &[u64], others: usize) {
    let (checkpoints, found) = read(path).unwrap();
    assert_eq!(checkpoints.iter().map(|it| it.at_ms).collect::<Vec<_>>(), times);
    assert_eq!(found, others);
}
