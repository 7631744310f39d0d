//! A server between fake upstreams of both dialects, shared by the tests that run at one time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use baton_testkit::fake::{FakeUpstream, Script, Seen};
use serde_json::Value;
use tokio::sync::Mutex;

use super::Baton;

/// The server of the tests that run now; the last one to end stops it.
static SHARED: Mutex<Weak<Fixture>> = Mutex::const_new(Weak::new());

/// A name that no other test of this process has.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A server with providers `oai`, `ant` and `resp`, which is the fake of `oai` in its other format, each a fake that serves `fake…`, `fault-…` and, behind
/// any prefix (`x/fault-500`), the same. The prefix tells one test's requests from another's.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) baton: Baton,
    pub(crate) openai: FakeUpstream,
    pub(crate) anthropic: FakeUpstream,
}

impl Fixture {
    /// The shared one.
    pub(crate) async fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().await;
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::start("").await);
        *shared = Arc::downgrade(&started);
        started
    }

    /// One of its own, with more configuration.
    pub(crate) async fn start(more: &str) -> Self {
        let openai = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let anthropic = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let baton = Baton::start(&Self::config(&openai, &anthropic, more)).await;
        Self { baton, openai, anthropic }
    }

    /// The configuration of a server between two fakes. Failures go to the next target at once,
    /// unless `more` has policies of its own.
    pub(crate) fn config(openai: &FakeUpstream, anthropic: &FakeUpstream, more: &str) -> String {
        let refused = baton_testkit::fake::unreachable::refused().expect("a port");
        let policies = if more.contains("policies:") { "" } else { POLICIES };
        format!(
            r#"
providers:
  oai: {{ dialect: openai_chat, base_url: "{}", api_key: sk-fake-openai }}
  ant: {{ dialect: anthropic_messages, base_url: "{}", api_key: sk-fake-anthropic }}
  resp: {{ dialect: openai_responses, base_url: "{}", api_key: sk-fake-openai }}
  down: {{ dialect: openai_chat, base_url: "{refused}", api_key: sk-fake-down }}
  nowhere: {{ dialect: openai_chat, base_url: "{}", api_key: sk-fake-nowhere }}
{policies}
{more}
"#,
            openai.base_url(),
            anthropic.origin(),
            openai.base_url(),
            baton_testkit::fake::unreachable::NO_SUCH_HOST,
        )
    }

    /// What the OpenAI fake saw for this model.
    pub(crate) fn openai_saw(&self, model: &str) -> Vec<Seen> {
        saw(&self.openai, model)
    }

    /// What the Anthropic fake saw for this model.
    pub(crate) fn anthropic_saw(&self, model: &str) -> Vec<Seen> {
        saw(&self.anthropic, model)
    }
}

fn saw(fake: &FakeUpstream, model: &str) -> Vec<Seen> {
    let asked = |seen: &Seen| seen.json().get("model") == Some(&Value::from(model));
    fake.seen().into_iter().filter(asked).collect()
}

/// No retries; an impatient policy for what never answers.
const POLICIES: &str = "
policies:
  default: { fallback: { retries: 0 } }
  impatient: { fallback: { retries: 0 }, timeouts: { first_content: 1500ms, idle: 700ms } }
";
