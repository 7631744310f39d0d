use std::io;

use rmcp::model::JsonRpcMessage;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;

/// A server at the other end of two channels.
struct Wire {
    incoming: mpsc::UnboundedReceiver<ServerJsonRpcMessage>,
}

impl Transport<RoleClient> for Wire {
    type Error = io::Error;

    fn send(&mut self, _: ClientJsonRpcMessage) -> impl Future<Output = io::Result<()>> + Send + 'static {
        std::future::ready(Ok(()))
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        self.incoming.recv().await
    }

    async fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Played {
    guard: Guard<Wire>,
    trouble: Trouble,
    server: mpsc::UnboundedSender<ServerJsonRpcMessage>,
}

impl Played {
    fn new() -> Self {
        let (server, incoming) = mpsc::unbounded_channel();
        let trouble = Trouble::default();
        Self { guard: Guard::new(Wire { incoming }, trouble.clone()), trouble, server }
    }

    async fn asks(&mut self, id: u32, method: &str) {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "x", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"_meta": meta}});
        self.guard.send(serde_json::from_value(request).unwrap()).await.unwrap();
    }

    fn says(&self, message: Value) {
        self.server.send(serde_json::from_value(message).unwrap()).unwrap();
    }

    /// What passes: the id of an answer with its error's code, or the method.
    async fn hears(&mut self) -> String {
        match self.guard.receive().await {
            None => "the end".to_owned(),
            Some(JsonRpcMessage::Error(error)) => {
                format!("{} failed with {}", error.id.unwrap(), error.error.code.0)
            }
            Some(JsonRpcMessage::Response(response)) => format!("{} answered", response.id),
            Some(other) => serde_json::to_value(&other).unwrap()["method"].as_str().unwrap().to_owned(),
        }
    }
}

fn answer(id: u32) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": {"content": []}})
}

fn notice(method: &str) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": {}})
}

#[tokio::test(start_paused = true)]
async fn a_silent_answer_to_the_probe_means_an_older_server() {
    let mut played = Played::new();
    played.asks(7, "server/discover").await;
    let began = Instant::now();
    assert_eq!(played.hears().await, "7 failed with -32601");
    assert_eq!(began.elapsed(), PROBE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_to_the_probe_is_taken_for_nothing() {
    let mut played = Played::new();
    played.asks(7, "server/discover").await;
    assert_eq!(played.hears().await, "7 failed with -32601");
    played.asks(8, "tools/list").await;
    played.says(answer(7));
    played.says(answer(8));
    assert_eq!(played.hears().await, "8 answered");
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_passes_and_ends_the_wait() {
    let mut played = Played::new();
    played.asks(7, "server/discover").await;
    played.says(answer(7));
    assert_eq!(played.hears().await, "7 answered");
    assert!(played.guard.probe.is_none());
}

#[tokio::test(start_paused = true)]
async fn of_the_notices_only_a_change_of_the_tools_passes() {
    let mut played = Played::new();
    played.says(notice("notifications/message"));
    played.says(notice("notifications/resources/list_changed"));
    played.says(notice("notifications/tools/list_changed"));
    assert_eq!(played.hears().await, "notifications/tools/list_changed");
}

#[tokio::test(start_paused = true)]
async fn questions_pass_to_be_refused() {
    let mut played = Played::new();
    played.says(json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"}));
    assert_eq!(played.hears().await, "roots/list");
}

#[tokio::test(start_paused = true)]
async fn a_flood_ends_the_connection() {
    for unasked in [notice("notifications/progress"), answer(99), notice("notifications/tools/list_changed")]
    {
        let mut played = Played::new();
        for _ in 0..=UNASKED_LIMIT {
            played.says(unasked.clone());
        }
        drop(std::mem::replace(&mut played.server, mpsc::unbounded_channel().0));
        while played.hears().await != "the end" {}
        assert_eq!(played.trouble.take(), Some(Fault::Flooded));
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_over_a_longer_time_are_no_flood() {
    let mut played = Played::new();
    for _ in 0..2 {
        for _ in 0..UNASKED_LIMIT {
            played.says(notice("notifications/progress"));
        }
        played.asks(1, "tools/list").await;
        played.says(answer(1));
        assert_eq!(played.hears().await, "1 answered");
        tokio::time::advance(WINDOW).await;
    }
    assert_eq!(played.trouble.take(), None);
}

#[tokio::test(start_paused = true)]
async fn answers_to_questions_are_never_a_flood() {
    let mut played = Played::new();
    for id in 0..=UNASKED_LIMIT {
        played.asks(id, "tools/list").await;
        played.says(answer(id));
        assert_eq!(played.hears().await, format!("{id} answered"));
    }
}
