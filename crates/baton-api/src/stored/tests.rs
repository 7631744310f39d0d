use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use baton_model::RequestId;
use baton_state::responses::{Bounds, Keeping, ResponseChange, ResponseRow, ResponseStore, Updated};
use baton_state::{BoxFuture, Place, Seal, SealError};
use serde_json::Value;
use tokio::sync::Notify;

use super::*;

#[test]
fn a_text_goes_on_as_a_message() {
    check(r#" "go \"on\"" "#, r#"[{"role":"user","content":"go \"on\""}]"#);
}

#[test]
fn items_go_on_as_they_were_sent() {
    check(r#"[ {"type":"x"} , {"type": "y"} ]"#, r#"[ {"type":"x"} , {"type": "y"} ]"#);
    check("[ ]", "[]");
}

#[test]
fn what_is_no_input_stays() {
    check("5", "5");
    check("", "");
}

#[test]
fn a_path_is_told_as_the_client_sent_it() {
    for (sent, before, told) in [
        ("input[7].role", 5, "input[2].role"),
        ("input[4].role", 5, "previous_response_id"),
        ("input[4].role", 0, "input[4].role"),
        ("temperature", 5, "temperature"),
    ] {
        let error = ApiError::invalid(format!("`{sent}` is wrong"), Some(sent)).behind(before);
        assert_eq!(error.message(), format!("`{told}` is wrong"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_waits_for_the_store_a_second_and_no_longer() {
    let shelf = Slow::default();
    let before = tokio::time::Instant::now();
    let told = shelf.told().await;
    assert_eq!((&told["store"], before.elapsed()), (&json(false), STORE_PATIENCE));
    assert_eq!(shelf.tasks.len(), 1, "the store is still at it");
    // What comes late is taken away again.
    shelf.store.0.go.notify_one();
    shelf.store.0.gone.notified().await;
    assert!(shelf.store.0.was_added.load(Ordering::Relaxed));
    assert_eq!(*shelf.store.0.rows.lock().unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_in_time_stays() {
    let shelf = Slow::default();
    shelf.store.0.go.notify_one();
    let told = shelf.told().await;
    assert_eq!(told["store"], json(true));
    assert_eq!(shelf.store.0.rows.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_stored_nothing_is_waited_for() {
    let shelf = Slow { is_wanted: false, ..Slow::default() };
    let told = shelf.told().await;
    assert_eq!(told["store"], json(false));
    assert!(!shelf.store.0.was_added.load(Ordering::Relaxed));
}

const fn json(truth: bool) -> Value {
    Value::Bool(truth)
}

/// A shelf over a store that adds nothing before it is told to.
struct Slow {
    store: SlowStore,
    tasks: Tasks,
    is_wanted: bool,
}

impl Default for Slow {
    fn default() -> Self {
        Self { store: SlowStore::default(), tasks: Tasks::new(), is_wanted: true }
    }
}

impl Slow {
    /// The response that a client is told.
    async fn told(&self) -> Value {
        let store = Arc::new(self.store.clone());
        let responses = Responses::new(store, Arc::new(Open), Box::new(|| 1), Keeping::STANDARD);
        let id = ResponseId::of(RequestId::from_parts(1_790_000_000_000, [7; 10]));
        let keep = Keep {
            responses: Some(Arc::new(responses)),
            tasks: self.tasks.clone(),
            id,
            principal: "anonymous".to_owned(),
            subject: Subject::principal("anonymous"),
            previous: None,
            input: Bytes::from_static(b"\"hi\""),
            is_wanted: self.is_wanted,
        };
        let body = format!("{{\"id\":\"{id}\",\"status\":\"completed\",\"output\":[]}}");
        serde_json::from_slice(&keep.whole(body.into()).await).unwrap()
    }
}

#[derive(Debug)]
struct Open;

impl Seal for Open {
    fn seal(&self, _: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        Ok(plain.to_vec())
    }

    fn open(&self, _: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        Ok(sealed.to_vec())
    }
}

#[derive(Clone, Debug, Default)]
struct SlowStore(Arc<Inside>);

#[derive(Debug, Default)]
struct Inside {
    go: Notify,
    gone: Notify,
    was_added: AtomicBool,
    rows: Mutex<Vec<ResponseId>>,
}

impl ResponseStore for SlowStore {
    fn insert_response<'a>(&'a self, row: &'a ResponseRow) -> BoxFuture<'a, Result<(), StateError>> {
        Box::pin(async {
            self.0.go.notified().await;
            self.0.was_added.store(true, Ordering::Relaxed);
            self.0.rows.lock().unwrap().push(row.id);
            Ok(())
        })
    }

    fn delete_response<'a>(
        &'a self,
        _: &'a str,
        id: ResponseId,
        _: u64,
    ) -> BoxFuture<'a, Result<bool, StateError>> {
        Box::pin(async move {
            self.0.rows.lock().unwrap().retain(|row| *row != id);
            self.0.gone.notify_one();
            Ok(true)
        })
    }

    fn update_response<'a>(&'a self, _: &'a ResponseChange) -> BoxFuture<'a, Result<Updated, StateError>> {
        Box::pin(async { Ok(Updated::Gone) })
    }

    fn response<'a>(
        &'a self,
        _: &'a str,
        _: ResponseId,
        _: u64,
    ) -> BoxFuture<'a, Result<Option<ResponseRow>, StateError>> {
        Box::pin(async { Ok(None) })
    }

    fn response_chain<'a>(
        &'a self,
        _: &'a str,
        _: ResponseId,
        _: u64,
        _: Bounds,
    ) -> BoxFuture<'a, Result<Vec<ResponseRow>, StateError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn drop_expired_responses(&self, _: u64, _: u32) -> BoxFuture<'_, Result<u64, StateError>> {
        Box::pin(async { Ok(0) })
    }

    fn count_responses<'a>(&'a self, _: &'a Subject) -> BoxFuture<'a, Result<u64, StateError>> {
        Box::pin(async { Ok(0) })
    }

    fn erase_responses<'a>(&'a self, _: &'a Subject, _: u32) -> BoxFuture<'a, Result<u64, StateError>> {
        Box::pin(async { Ok(0) })
    }
}

#[track_caller]
fn check(own: &'static str, input: &str) {
    let (before, continued) = continued(&[], &Bytes::from_static(own.as_bytes())).unwrap();
    assert_eq!((before, str::from_utf8(&continued).unwrap()), (0, input));
}
