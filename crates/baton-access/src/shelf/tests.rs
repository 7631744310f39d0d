use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::*;
use crate::BoxFuture;

/// Keeps policies in memory, and can be away.
#[derive(Debug, Default)]
struct FakeStore {
    list: Mutex<PolicyList>,
    away: AtomicBool,
    /// Somebody else changes every state just before the next `set`.
    disturbed: AtomicBool,
}

impl FakeStore {
    fn answer<T>(
        &self,
        work: impl FnOnce(&mut PolicyList) -> Result<T, PolicyStoreErrorKind>,
    ) -> Result<T, PolicyStoreError> {
        let failed = |kind| PolicyStoreError::new(kind, format!("{kind:?}"));
        if self.away.load(Ordering::Relaxed) {
            return Err(failed(PolicyStoreErrorKind::Unavailable));
        }
        work(&mut self.list.lock().unwrap()).map_err(failed)
    }
}

impl PolicyStore for FakeStore {
    fn policy_revision(&self) -> BoxFuture<'_, Result<u64, PolicyStoreError>> {
        Box::pin(async { self.answer(|list| Ok(list.revision)) })
    }

    fn policies(&self) -> BoxFuture<'_, Result<PolicyList, PolicyStoreError>> {
        Box::pin(async { self.answer(|list| Ok(list.clone())) })
    }

    fn put<'a>(&'a self, version: &'a PolicyVersion) -> BoxFuture<'a, Result<u64, PolicyStoreError>> {
        Box::pin(async {
            self.answer(|list| {
                if list.of(&version.name).any(|it| it.version == version.version) {
                    return Err(PolicyStoreErrorKind::Duplicate);
                }
                list.versions.push(version.clone());
                list.revision += 1;
                Ok(list.revision)
            })
        })
    }

    fn set<'a>(&'a self, state: &'a PolicyState) -> BoxFuture<'a, Result<u64, PolicyStoreError>> {
        Box::pin(async {
            self.answer(|list| {
                list.revision += 1;
                let revision = list.revision;
                if self.disturbed.swap(false, Ordering::Relaxed) {
                    list.states.iter_mut().for_each(|state| state.revision = revision);
                    list.revision += 1;
                }
                if list.state(&state.name).map_or(0, |it| it.revision) != state.revision {
                    return Err(PolicyStoreErrorKind::Conflict);
                }
                list.states.retain(|it| it.name != state.name);
                list.states.push(PolicyState { revision: list.revision, ..state.clone() });
                Ok(list.revision)
            })
        })
    }
}

struct Bench {
    dir: tempfile::TempDir,
    store: Arc<FakeStore>,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), store: Arc::default() }
    }

    fn open(&self) -> PolicyShelf {
        let master = MasterKey::from_text("a-0123456789abcdef0123456789abcdef").unwrap();
        PolicyShelf::open(self.store.clone(), &master, self.dir.path())
    }

    async fn with(versions: &[&str]) -> (Self, PolicyShelf) {
        let bench = Self::new();
        let shelf = bench.open();
        for version in versions {
            assert!(shelf.put(&put(version)).await.unwrap());
        }
        (bench, shelf)
    }
}

fn put(version: &str) -> PolicyVersion {
    PolicyVersion {
        name: "p".to_owned(),
        version: version.to_owned(),
        document: json!({"order": [version]}),
        created_ms: 1,
        created_by: "cli".to_owned(),
    }
}

/// Carries out `activate V`, `rollback`, `canary V N`, `shadow V` and `off`, and gives what is in force
/// then, or why not.
async fn check(shelf: &PolicyShelf, acts: &str) -> String {
    let mut last = String::new();
    for act in acts.split(", ") {
        let words: Vec<&str> = act.split(' ').collect();
        let selector = |version: &str| Selector { name: "p".to_owned(), version: version.to_owned() };
        let done = match words.as_slice() {
            ["activate", version] => shelf.activate(&selector(version)).await,
            ["rollback"] => shelf.roll_back("p").await,
            ["canary", version, percent] => shelf.canary(&selector(version), percent.parse().unwrap()).await,
            ["shadow", version] => shelf.shadow(&selector(version)).await,
            ["off"] => shelf.off("p").await,
            _ => unreachable!("{act}"),
        };
        last = match done {
            Ok(state) => shown(&state),
            Err(error) => error.to_string(),
        };
    }
    last
}

fn shown(state: &PolicyState) -> String {
    let mut text = state.active.clone();
    text += &state.previous.as_ref().map(|it| format!(" before {it}")).unwrap_or_default();
    text +=
        &state.canary.as_ref().map(|it| format!(" canary {} {}", it.version, it.percent)).unwrap_or_default();
    text += &state.shadow.as_ref().map(|it| format!(" shadow {it}")).unwrap_or_default();
    text
}

#[tokio::test]
async fn a_version_is_activated_and_taken_back() {
    let (_bench, shelf) = Bench::with(&["aaaaaa1", "bbbbbb2"]).await;
    assert_eq!(check(&shelf, "activate aaaaaa1").await, "aaaaaa1");
    assert_eq!(check(&shelf, "activate bbbbbb2").await, "bbbbbb2 before aaaaaa1");
    assert_eq!(check(&shelf, "activate bbbbbb2").await, "bbbbbb2 before aaaaaa1");
    assert_eq!(check(&shelf, "rollback").await, "aaaaaa1 before bbbbbb2");
    assert_eq!(check(&shelf, "rollback").await, "bbbbbb2 before aaaaaa1");
    assert_eq!(shown(shelf.list().state("p").unwrap()), "bbbbbb2 before aaaaaa1");
}

#[tokio::test]
async fn canary_and_shadow_stand_beside_until_they_are_off_or_active() {
    let (_bench, shelf) = Bench::with(&["aaaaaa1", "bbbbbb2", "cccccc3"]).await;
    let acts = "activate aaaaaa1, canary bbbbbb2 50, shadow cccccc3";
    assert_eq!(check(&shelf, acts).await, "aaaaaa1 canary bbbbbb2 50 shadow cccccc3");
    assert_eq!(check(&shelf, "canary bbbbbb2 75").await, "aaaaaa1 canary bbbbbb2 75 shadow cccccc3");
    assert_eq!(check(&shelf, "activate bbbbbb2").await, "bbbbbb2 before aaaaaa1 shadow cccccc3");
    assert_eq!(check(&shelf, "off").await, "bbbbbb2 before aaaaaa1");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let (_bench, shelf) = Bench::with(&["aaaaaa1", "aaaaaa2", "bbbbbb3"]).await;
    let not_active = "no version of `p` is active: activate one first";
    assert_eq!(check(&shelf, "canary aaaaaa1 5").await, not_active);
    assert_eq!(check(&shelf, "off").await, not_active);
    assert_eq!(
        check(&shelf, "activate aaaaaa1, rollback").await,
        "the policy `p` has no version before the active one"
    );
    assert_eq!(check(&shelf, "shadow aaaaaa1").await, "the version `aaaaaa1` of `p` is the active one");
    assert_eq!(check(&shelf, "canary bbbbbb3 0").await, "a canary gets 1 to 100 percent, not 0");
    assert_eq!(check(&shelf, "canary bbbbbb3 101").await, "a canary gets 1 to 100 percent, not 101");
    let other = Selector { name: "q".to_owned(), version: "aaaaaa1".to_owned() };
    assert_eq!(shelf.activate(&other).await.unwrap_err().to_string(), "the store has no policy `q`");
}

#[tokio::test]
async fn a_version_may_be_named_by_the_digits_that_only_it_begins_with() {
    let (_bench, shelf) = Bench::with(&["aaaaaa1", "aaaaaa2", "bbbbbb3"]).await;
    assert_eq!(check(&shelf, "activate bbbbbb").await, "bbbbbb3");
    assert!(check(&shelf, "activate bbbbb").await.contains("give more digits"));
    assert!(check(&shelf, "activate aaaaaa").await.contains("several versions"));
    assert!(check(&shelf, "activate cccccc").await.contains("has no version"));
}

#[tokio::test]
async fn the_same_content_is_put_once() {
    let (_bench, shelf) = Bench::with(&["aaaaaa1"]).await;
    assert!(!shelf.put(&put("aaaaaa1")).await.unwrap());
    assert_eq!(shelf.list().versions.len(), 1);
}

#[tokio::test]
async fn a_change_between_reading_and_writing_is_not_undone() {
    let (bench, shelf) = Bench::with(&["aaaaaa1", "bbbbbb2"]).await;
    check(&shelf, "activate aaaaaa1").await;
    bench.store.disturbed.store(true, Ordering::Relaxed);
    assert_eq!(check(&shelf, "activate bbbbbb2").await, "bbbbbb2 before aaaaaa1");
}

#[tokio::test]
async fn known_policies_are_there_after_a_restart_while_the_store_is_away() {
    let (bench, shelf) = Bench::with(&["aaaaaa1", "bbbbbb2"]).await;
    check(&shelf, "activate aaaaaa1, shadow bbbbbb2").await;
    bench.store.away.store(true, Ordering::Relaxed);
    let again = bench.open();
    assert!(again.refresh().await.is_err());
    assert_eq!(again.list(), shelf.list());
    assert_eq!(shown(again.list().state("p").unwrap()), "aaaaaa1 shadow bbbbbb2");
}

#[tokio::test]
async fn what_another_replica_changes_is_seen_by_a_refresh() {
    let (bench, shelf) = Bench::with(&["aaaaaa1"]).await;
    let other = bench.open();
    assert!(other.refresh().await.unwrap());
    assert!(!other.refresh().await.unwrap());
    check(&shelf, "activate aaaaaa1").await;
    assert!(other.refresh().await.unwrap());
    assert_eq!(other.list().state("p").unwrap().active, "aaaaaa1");
}

#[tokio::test]
async fn a_snapshot_that_somebody_changed_is_left_out() {
    let (bench, shelf) = Bench::with(&["aaaaaa1"]).await;
    check(&shelf, "activate aaaaaa1").await;
    let path = bench.dir.path().join(FILE_NAME);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("aaaaaa1", "bbbbbb2")).unwrap();
    assert_eq!(*bench.open().list(), PolicyList::default());
}
