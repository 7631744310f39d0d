use super::*;

const WRITE: &str = r#"7 pwrite64(11</d/journal/0001.seg>, "\0\1{\"id\":\"dec_1a\"}", 300, 72) = 300"#;
const SYNC: &str = "8 fdatasync(11</d/journal/0001.seg>) = 0";
const ANSWER: &str = r#"7 writev(14<socket:[99]>, [{iov_base="HTTP/1.1 200 OK\r\nx-baton-decision-id: dec_1a\r\n", iov_len=60}], 2) = 60"#;

#[test]
fn written_synced_answered_is_the_order() {
    assert_eq!(check(&[WRITE, SYNC, ANSWER]), (1, 0));
}

#[test]
fn calls_that_overlap_count_from_their_return() {
    let lines = [
        r#"7 pwrite64(11</d/journal/0001.seg>, "{\"id\":\"dec_1a\"}", 300, 72 <unfinished ...>"#,
        "7 <... pwrite64 resumed>) = 300",
        "8 fdatasync(11</d/journal/0001.seg> <unfinished ...>",
        r#"9 write(3</d/other>, "x", 1) = 1"#,
        "8 <... fdatasync resumed>) = 0",
        ANSWER,
    ];
    assert_eq!(check(&lines), (1, 0));
}

#[test]
fn an_answer_without_a_sync_is_early() {
    assert_eq!(check(&[WRITE, ANSWER, SYNC]), (1, 1));
    assert_eq!(check(&[ANSWER]), (1, 1));
}

#[test]
fn an_answer_while_the_sync_runs_is_early() {
    let (began, ended) =
        ("8 fdatasync(11</d/journal/0001.seg> <unfinished ...>", "8 <... fdatasync resumed>) = 0");
    assert_eq!(check(&[WRITE, began, ANSWER, ended]), (1, 1));
}

#[test]
fn a_sync_that_began_before_the_write_returned_proves_nothing() {
    let began = "8 fdatasync(11</d/journal/0001.seg> <unfinished ...>";
    let ended = "8 <... fdatasync resumed>) = 0";
    assert_eq!(check(&[began, WRITE, ended, ANSWER]), (1, 1));
}

#[test]
fn a_sync_of_another_file_or_one_that_failed_proves_nothing() {
    assert_eq!(check(&[WRITE, "8 fdatasync(12</d/journal/0002.seg>) = 0", ANSWER]), (1, 1));
    assert_eq!(check(&[WRITE, "8 fdatasync(11</d/baton.db-wal>) = 0", ANSWER]), (1, 1));
    let failed = "8 fdatasync(11</d/journal/0001.seg>) = -1 EIO (Input/output error)";
    assert_eq!(check(&[WRITE, failed, ANSWER]), (1, 1));
}

#[test]
fn a_write_that_failed_is_none() {
    let failed =
        r#"7 pwrite64(11</d/journal/0001.seg>, "{\"id\":\"dec_1a\"}", 300, 72) = -1 ENOSPC (No space)"#;
    assert_eq!(check(&[failed, SYNC, ANSWER]), (1, 1));
}

#[test]
fn another_decisions_sync_is_not_ones_own() {
    let other =
        r#"7 writev(14<socket:[99]>, [{iov_base="x-baton-decision-id: dec_2b\r\n", iov_len=60}], 2) = 60"#;
    assert_eq!(check(&[WRITE, SYNC, other]), (1, 1));
}

#[test]
fn what_else_is_written_is_no_answer() {
    assert_eq!(check(&[WRITE, SYNC, r#"7 write(1</dev/null>, "dec_1a", 6) = 6"#, "garbage", ""]), (0, 0));
}

/// How many answers there were, and how many of them left too early.
#[track_caller]
fn check(lines: &[&str]) -> (u64, usize) {
    let mut order = Order::default();
    lines.iter().for_each(|line| order.take(line));
    (order.answers, order.early.len())
}
