//! A server with a seed's configuration, between fakes that serve the models that the seeds name.

use baton_testkit::fake::{FakeUpstream, Script, Seen};
use serde_json::{Value, json};

use crate::blackbox::support::{Answer, Baton, Home};
use crate::blackbox::v1::text;

/// Every model that the seeds name, as its provider names it.
const MODELS: [&str; 7] = [
    "gpt-4",
    "gpt-4o",
    "gpt-4.1",
    "gpt-4o-mini",
    "claude-sonnet-4-20250514",
    "claude-3-5-sonnet-20241022",
    "claude-3-opus-20240229",
];

/// A server with a seed's configuration, between fakes that serve the seeds' models.
pub(super) struct Stage {
    pub(super) baton: Baton,
    pub(super) openai: FakeUpstream,
    pub(super) anthropic: FakeUpstream,
}

impl Stage {
    pub(super) async fn set(config: &str) -> Self {
        let script = || MODELS.iter().fold(Script::default(), |script, name| script.model(name));
        let openai = FakeUpstream::start(script()).await.expect("a fake upstream");
        let anthropic = FakeUpstream::start(script()).await.expect("a fake upstream");
        let (to_openai, to_anthropic) = (openai.base_url(), anthropic.origin());
        let environment =
            [("OPENAI_BASE_URL", to_openai.as_str()), ("ANTHROPIC_BASE_URL", to_anthropic.as_str())];
        let baton = Baton::start_in(Home::new(config), &environment).await;
        Self { baton, openai, anthropic }
    }

    pub(super) async fn ask(&self, model: &str, own: Value) -> Answer {
        let messages = json!([{"role": "user", "content": "hi"}]);
        self.baton.chat(&json!({"model": model, "messages": messages, "max_tokens": 500, "baton": own})).await
    }

    /// Asks, and gives the target that answered and why. The fakes and the record must agree.
    pub(super) async fn chosen(&self, model: &str, own: Value) -> (String, String) {
        let before = self.seen().len();
        let answer = self.ask(model, own.clone()).await.expect(200);
        let target = answer.header("x-baton-model").to_owned();
        let seen = self.seen();
        assert_eq!(seen.len(), before + 1, "{own}: one attempt");
        let asked: Vec<String> = seen.iter().map(|one| text(&one.json()["model"])).collect();
        let (_, name) = target.split_once('/').expect("a target");
        assert!(asked.iter().any(|one| one == name), "{target} was not asked: {asked:?}");
        let run = self.baton.run_of(&answer).await;
        let decision = &run["decisions"][0];
        assert_eq!((&decision["kind"], &decision["to"]), (&json!("select"), &json!(target)), "{run}");
        assert_eq!(decision["reason"]["code"], answer.header("x-baton-reason"), "{run}");
        (target, answer.header("x-baton-reason").to_owned())
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.openai.seen().into_iter().chain(self.anthropic.seen()).collect()
    }
}
