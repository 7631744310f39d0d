use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::journal::{Journal, JournalOptions};
use crate::memory::MemoryStore;
use crate::samples::{decision, decision_id, outcome};
use crate::{CheckpointSigner, Relay, RelayOptions};

#[tokio::test]
async fn each_decision_and_outcome_is_a_line_with_its_place() {
    let bench = Bench::new();
    bench.write(0..20).await;
    let export = bench.export();
    assert!(export.close(DEADLINE).await);
    let lines = bench.lines();
    assert_eq!(lines.len(), 40);
    assert_eq!(export.health(), ExportHealth { lines: 40, failures: 0 });
    let boot = bench.journal().boot().to_string();
    assert!(lines.iter().all(|line| line["boot"] == boot.as_str() && line["seq"].is_u64()), "{lines:?}");
    let decisions: Vec<_> = lines.iter().filter(|line| line["record"] == "decision").collect();
    let ids: Vec<_> = decisions.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, (0..20).map(|number| decision_id(number).to_string()).collect::<Vec<_>>());
    assert!(lines.iter().all(|line| line["record"] == "decision" || line["record"] == "outcome"));
}

#[tokio::test]
async fn it_goes_on_where_it_was_in_the_chains_of_later_lives_too() {
    let mut bench = Bench::new();
    bench.write(0..5).await;
    assert!(bench.export().close(DEADLINE).await);
    // Written after the export, and before the process ended.
    bench.write(5..8).await;
    bench.restart();
    bench.write(8..12).await;
    assert!(bench.export().close(DEADLINE).await);
    let lines = bench.lines();
    assert_eq!(lines.len(), 24);
    assert_eq!(places(&lines).len(), 24, "a line stands twice");
    // The chain that has ended is not asked for any more.
    let cursor: Value = serde_json::from_slice(&fs::read(bench.dir().join("cursor.json")).unwrap()).unwrap();
    assert_eq!(cursor["chains"].as_array().unwrap().len(), 1, "{cursor}");
}

#[tokio::test]
async fn what_a_crash_left_behind_the_cursor_is_written_again_and_not_twice() {
    let bench = Bench::new();
    bench.write(0..4).await;
    let export = bench.export();
    assert!(export.step().await.unwrap());
    drop(export);
    // It was killed after a write and before the cursor moved, in the middle of a line.
    let part = files(bench.dir(), "part").pop().unwrap();
    let mut torn = fs::read(&part).unwrap();
    torn.extend_from_slice(b"{\"boot\":\"boot_");
    fs::write(&part, torn).unwrap();
    bench.write(4..6).await;
    assert!(bench.export().close(DEADLINE).await);
    let lines = bench.lines();
    assert_eq!((lines.len(), places(&lines).len()), (12, 12));
}

#[tokio::test]
async fn a_file_that_is_large_enough_is_finished_and_another_begun() {
    let bench = Bench::new();
    for number in 0..10 {
        bench.write(number..number + 1).await;
    }
    let export = bench.export_with(ExportOptions { file_bytes: 1_000, ..bench.options() });
    assert!(export.close(DEADLINE).await);
    assert!(files(bench.dir(), "ndjson").len() >= 5, "{:?}", files(bench.dir(), "ndjson"));
    assert!(files(bench.dir(), "part").is_empty());
    assert_eq!(bench.lines().len(), 20);
}

#[tokio::test]
async fn a_file_that_is_old_enough_is_finished_without_anything_new() {
    let bench = Bench::new();
    bench.write(0..1).await;
    let export = bench.export_with(ExportOptions { file_age: Duration::ZERO, ..bench.options() });
    while export.step().await.unwrap() {}
    assert_eq!((files(bench.dir(), "ndjson").len(), files(bench.dir(), "part").len()), (1, 0));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_holds_up_nothing_and_loses_nothing() {
    let bench = Bench::new();
    fs::write(bench.dir(), "a file where the folder should be").unwrap();
    bench.write(0..3).await;
    let export = bench.export();
    assert!(!export.close(DEADLINE).await);
    assert_eq!(export.health().failures, 1);
    // The relay has nothing to do with it: everything is in the store, and given back in the journal.
    bench.write(3..6).await;
    assert_eq!(bench.journal().health().backlog_bytes, 0);
    fs::remove_file(bench.dir()).unwrap();
    assert!(export.close(DEADLINE).await);
    assert_eq!((bench.lines().len(), export.health().failures), (12, 0));
}

#[tokio::test]
async fn a_second_gateway_on_the_same_folder_is_refused() {
    let bench = Bench::new();
    bench.write(0..1).await;
    let first = bench.export();
    first.step().await.unwrap();
    let error = bench.export().step().await.unwrap_err();
    assert!(matches!(&error, ExportError::Files(why) if why.to_string().contains("another gateway")));
}

const DEADLINE: Duration = Duration::from_secs(60);

/// A journal, a store and a folder.
struct Bench {
    data: TempDir,
    store: Arc<MemoryStore>,
    journal: Option<Arc<Journal>>,
    out: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let data = TempDir::new().unwrap();
        let out = data.path().join("export");
        let mut bench = Self { data, store: Arc::default(), journal: None, out };
        bench.restart();
        bench
    }

    fn restart(&mut self) {
        self.journal = None;
        let signer = CheckpointSigner::from_seed(&[7; 32]).unwrap();
        let options = JournalOptions::new(self.data.path().join("journal"), signer, "test");
        let (journal, _) = Journal::open(JournalOptions { segment_bytes: 1 << 20, ..options }).unwrap();
        self.journal = Some(Arc::new(journal));
    }

    fn journal(&self) -> &Arc<Journal> {
        self.journal.as_ref().unwrap()
    }

    fn dir(&self) -> &Path {
        &self.out
    }

    fn options(&self) -> ExportOptions {
        ExportOptions { pause: Duration::ZERO, ..ExportOptions::new(&self.out) }
    }

    fn export(&self) -> Export {
        self.export_with(self.options())
    }

    fn export_with(&self, options: ExportOptions) -> Export {
        Export::new(self.journal().boot(), Arc::clone(&self.store) as Arc<dyn AuditStore>, options)
    }

    /// Requests that the relay has brought to the store.
    async fn write(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.journal().append(&decision(number)).unwrap();
            self.journal().append(&outcome(number)).unwrap();
        }
        self.journal().checkpoint().await.unwrap();
        let store = Arc::clone(&self.store) as Arc<dyn AuditStore>;
        let relay = Relay::new(Arc::clone(self.journal()), store, RelayOptions::STANDARD);
        assert!(relay.drain(DEADLINE).await);
    }

    /// Every line of the finished files.
    fn lines(&self) -> Vec<Value> {
        let texts = files(self.dir(), "ndjson").into_iter().map(|file| fs::read_to_string(file).unwrap());
        let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
    }
}

/// The chain and number of each line, without repeats.
fn places(lines: &[Value]) -> HashSet<String> {
    lines.iter().map(|line| format!("{} {}", line["boot"], line["seq"])).collect()
}

/// The files with this ending, in the order of their names.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let found = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        found.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    found.sort();
    found
}
