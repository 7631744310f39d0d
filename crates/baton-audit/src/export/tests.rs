use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::journal::{Journal, JournalOptions};
use crate::memory::MemoryStore;
use crate::relay::{Relay, RelayOptions};
use crate::samples::{decision, outcome};
use crate::{CheckpointSigner, Clock, Flaw, VerifyOptions, VerifyReport, verify_export};

#[tokio::test]
async fn an_export_is_checked_with_the_public_key_alone() {
    let report = check(|_| ()).await.unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((report.chains, report.checkpoints), (2, 4));
    assert_eq!(report.entries, 2 * 10 + 1);
}

#[tokio::test]
async fn a_file_that_was_cut_is_told_from_a_whole_one() {
    let cut = check(|lines| drop(lines.pop())).await;
    assert!(matches!(cut, Err(ReadExportError::Cut)));
}

#[tokio::test]
async fn a_block_that_was_left_out_is_found() {
    let cut = check(|lines| lines.retain(|line| !line.contains("\"block\""))).await;
    assert!(matches!(cut, Err(ReadExportError::Cut)));
    let found = check(|lines| {
        lines.retain(|line| !line.contains("\"block\""));
        let last = lines.len() - 1;
        lines[last] = r#"{"end":{"chains":2,"blocks":0,"documents":1}}"#.to_owned();
    });
    let found = found.await.unwrap();
    assert!(matches!(found.first_bad().map(|it| &it.flaw), Some(Flaw::Missing(11))), "{found:?}");
}

#[tokio::test]
async fn a_document_that_was_edited_is_found() {
    let found = check(|lines| {
        let document = lines.iter_mut().find(|line| line.contains("\"document\"")).unwrap();
        *document = document.replace("answer\":42", "answer\":43");
    });
    let found = found.await.unwrap();
    assert!(matches!(found.first_bad().map(|it| &it.flaw), Some(Flaw::DocumentDiffers(_))), "{found:?}");
}

#[tokio::test]
async fn another_file_is_refused() {
    let other = verify_export(&b"{\"hello\":1}\n"[..], VerifyOptions::new(&[]));
    assert!(matches!(other, Err(ReadExportError::Format)));
    let empty = verify_export(&b""[..], VerifyOptions::new(&[]));
    assert!(matches!(empty, Err(ReadExportError::Format)));
}

#[tokio::test]
async fn a_line_of_something_else_is_named() {
    let wrong = check(|lines| lines.insert(2, "null".to_owned())).await;
    assert!(matches!(wrong, Err(ReadExportError::Line(3))), "{wrong:?}");
}

#[tokio::test]
async fn the_wrong_key_is_found() {
    let lines = exported().await;
    let stranger = CheckpointSigner::from_seed(&[9; 32]).unwrap().public_key();
    let report = verify_export(lines.join("\n").as_bytes(), VerifyOptions::new(&[stranger])).unwrap();
    assert!(matches!(report.first_bad().map(|it| &it.flaw), Some(Flaw::BadSignature)), "{report:?}");
}

/// Exports two lives, changes the lines, and says what is found.
async fn check(change: impl FnOnce(&mut Vec<String>)) -> Result<VerifyReport, ReadExportError> {
    let mut lines = exported().await;
    change(&mut lines);
    let key = CheckpointSigner::from_seed(&[7; 32]).unwrap().public_key();
    verify_export(lines.join("\n").as_bytes(), VerifyOptions::new(&[key]))
}

/// The time of the records that the tests write.
#[derive(Debug)]
struct Fixed;

impl Clock for Fixed {
    fn now_ms(&self) -> u64 {
        1_000_000
    }
}

async fn exported() -> Vec<String> {
    let dir = TempDir::new().unwrap();
    let store = Arc::new(MemoryStore::default());
    for life in 0..2 {
        let signer = CheckpointSigner::from_seed(&[7; 32]).unwrap();
        let options = JournalOptions {
            segment_bytes: 1 << 20,
            clock: Arc::new(Fixed),
            ..JournalOptions::new(dir.path(), signer, "test")
        };
        let journal = Arc::new(Journal::open(options).unwrap().0);
        if life == 0 {
            let body = serde_json::json!({"answer": 42});
            let document =
                Document { hash: "d0c".to_owned(), kind: "policy".to_owned(), at_ms: 1_000_000, body };
            journal.append(&Record::Document(document)).unwrap();
        }
        for number in life * 10..life * 10 + 3 {
            journal.append(&decision(number)).unwrap();
            journal.append(&outcome(number)).unwrap();
        }
        journal.close().await.unwrap();
        let store = Arc::clone(&store) as Arc<dyn AuditStore>;
        let relay = Relay::new(Arc::clone(&journal), store, RelayOptions::STANDARD);
        assert!(relay.drain(Duration::from_secs(60)).await);
    }
    let mut exporter = Exporter::new(store);
    let mut lines = Vec::new();
    while let Some(line) = exporter.next_line().await.unwrap() {
        lines.push(String::from_utf8(line).unwrap().trim_end().to_owned());
    }
    lines
}
