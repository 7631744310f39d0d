//! Every row of the failure table, end to end: over both dialects of a provider, in both of a client,
//! streamed and not, with another target behind the one that fails and without.

use std::collections::BTreeSet;
use std::sync::Arc;

use baton_testkit::fake::unreachable::{BlackHole, refused};
use baton_testkit::fake::{End, FakeUpstream, Fault, Raw, Script, Step};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::blackbox::support::{Answer, Baton, chat_text, messages_text, run};
use crate::blackbox::v1::{story, text};

/// How often a policy of these tests lets a target be tried again.
const RETRIES: usize = 1;

/// A row: a kind of failure, how it is brought about, and what must follow.
#[derive(Clone, Copy, Debug)]
struct Row {
    kind: &'static str,
    cause: Cause,
    again: Again,
    /// Whether another target is asked.
    passes_on: bool,
    /// What the client is told where nothing else is left.
    status: u16,
    code: Option<&'static str>,
    /// Whether the provider's own words reach a client that speaks its dialect.
    unchanged: bool,
}

/// How a target fails.
#[derive(Clone, Copy, Debug)]
enum Cause {
    /// With a fault of the fake.
    Fault(Fault),
    /// With this status and this error: type, code, message.
    Says(u16, &'static str, &'static str, &'static str),
    /// With an answer that breaks off before it says anything.
    BreaksOff,
    /// Nobody listens.
    Refuses,
    /// Nobody completes a connection.
    Swallows,
}

/// Whether the same target is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    Yes,
    /// Only where no other is left.
    Alone,
    No,
}

const fn row(kind: &'static str, cause: Cause, status: u16, code: Option<&'static str>) -> Row {
    Row { kind, cause, again: Again::No, passes_on: true, status, code, unchanged: false }
}

impl Row {
    const fn again(self, again: Again) -> Self {
        Self { again, ..self }
    }

    /// What the client did wrong: nobody else is asked.
    const fn the_clients(self) -> Self {
        Self { passes_on: false, unchanged: true, ..self }
    }

    const fn in_its_own_words(self) -> Self {
        Self { unchanged: true, ..self }
    }
}

const REQUEST: &str = "invalid_request_error";

const ROWS: [Row; 17] = [
    row("server_error", Cause::Fault(Fault::ServerError), 500, Some("upstream_error")).again(Again::Yes),
    row("server_error", Cause::Fault(Fault::RequestTimeout), 502, Some("upstream_error")).again(Again::Yes),
    row("overloaded", Cause::Fault(Fault::Overloaded), 529, Some("upstream_overloaded")).again(Again::Yes),
    row("connect", Cause::Refuses, 502, Some("upstream_unreachable")).again(Again::Yes),
    row("timeout", Cause::Swallows, 504, Some("upstream_timeout")).again(Again::Yes),
    row("malformed_answer", Cause::Fault(Fault::WrongContentType), 502, Some("upstream_malformed"))
        .again(Again::Yes),
    row("truncated", Cause::BreaksOff, 502, Some("upstream_truncated")).again(Again::Yes),
    row("rate_limited", Cause::Fault(Fault::RateLimited), 429, Some("rate_limit_exceeded"))
        .again(Again::Alone),
    row(
        "quota_exhausted",
        Cause::Says(429, "insufficient_quota", "insufficient_quota", "Your credit balance is too low."),
        429,
        Some("insufficient_quota"),
    ),
    row("unauthorized", Cause::Fault(Fault::Unauthorized), 502, Some("upstream_auth")),
    row("unauthorized", Cause::Fault(Fault::Forbidden), 502, Some("upstream_auth")),
    row("context_too_long", Cause::Fault(Fault::ContextOverflow), 400, Some("context_length_exceeded"))
        .in_its_own_words(),
    row(
        "unsupported_feature",
        Cause::Says(400, REQUEST, "unsupported_parameter", "This model does not support tools."),
        400,
        None,
    ),
    row("model_unavailable", Cause::Fault(Fault::ModelNotFound), 404, Some("model_not_found")),
    row("invalid_request", Cause::Says(422, REQUEST, "bad", "A field has a wrong value."), 422, None)
        .the_clients(),
    row("too_large", Cause::Fault(Fault::TooLarge), 413, Some("request_too_large")).the_clients(),
    row(
        "content_filtered",
        Cause::Says(400, REQUEST, "content_filter", "Output blocked by content filtering policy."),
        400,
        Some("content_filter"),
    )
    .the_clients(),
];

/// The dialect that somebody speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tongue {
    OpenAi,
    Anthropic,
}

const TONGUES: [Tongue; 2] = [Tongue::OpenAi, Tongue::Anthropic];

/// One request of the table.
#[derive(Clone, Copy, Debug)]
struct Case {
    row: Row,
    number: usize,
    upstream: Tongue,
    client: Tongue,
    stream: bool,
    /// Whether there is another target.
    backed: bool,
}

impl Case {
    /// The cases that one fake serves, in the order in which they come.
    fn all(row: Row, upstream: Tongue) -> impl Iterator<Item = Self> {
        let client = TONGUES.into_iter();
        let each = client.flat_map(|client| [false, true].map(|stream| (client, stream)));
        let each = each.flat_map(|(client, stream)| [true, false].map(|backed| (client, stream, backed)));
        each.enumerate().map(move |(number, (client, stream, backed))| Self {
            row,
            number,
            upstream,
            client,
            stream,
            backed,
        })
    }

    /// How many attempts the first target gets.
    fn attempts(&self) -> usize {
        match self.row.again {
            Again::Yes => 1 + RETRIES,
            Again::Alone if !self.backed => 1 + RETRIES,
            Again::Alone | Again::No => 1,
        }
    }

    fn step(&self) -> Option<Step> {
        let raw = |status, kind: &str, pieces: Vec<Vec<u8>>, then| {
            let headers = vec![("content-type".to_owned(), kind.to_owned())];
            Some(Step::Raw(Raw { status, headers, pieces, then }))
        };
        match self.row.cause {
            Cause::Fault(fault) => Some(Step::Fault(fault)),
            Cause::Says(status, kind, code, message) => {
                let error = json!({"type": kind, "code": code, "message": message, "param": null});
                let body = json!({"type": "error", "error": error, "request_id": "req_1"}).to_string();
                raw(status, "application/json", vec![body.into_bytes()], End::Whole)
            }
            Cause::BreaksOff if self.stream => {
                raw(200, "text/event-stream", vec![b": one moment\n\n".to_vec()], End::Cut)
            }
            Cause::BreaksOff => raw(200, "application/json", vec![b"{\"id\": \"".to_vec()], End::Cut),
            Cause::Refuses | Cause::Swallows => None,
        }
    }

    fn body(&self, models: &[String]) -> Value {
        let messages = json!([{"role": "user", "content": "hi"}]);
        json!({"model": models, "messages": messages, "stream": self.stream, "max_tokens": 200})
    }

    /// The text of a good answer.
    fn text(&self, answer: &Answer) -> String {
        match (self.client, self.stream) {
            (Tongue::OpenAi, true) => chat_text(answer.text()),
            (Tongue::OpenAi, false) => text(&answer.json()["choices"][0]["message"]["content"]),
            (Tongue::Anthropic, true) => messages_text(answer.text()),
            (Tongue::Anthropic, false) => text(&answer.json()["content"][0]["text"]),
        }
    }

    fn check_error(&self, answer: &Answer) {
        assert_eq!(answer.status, self.row.status, "{self:?}: {answer:?}");
        assert_eq!(answer.header("x-should-retry"), "false", "{self:?}");
        if self.row.unchanged && self.client == self.upstream {
            let error = &answer.json()["error"];
            assert!(!text(&error["message"]).is_empty(), "{self:?}: {answer:?}");
            assert!(answer.json().get("code").is_none(), "{self:?}: not the provider's body: {answer:?}");
            return;
        }
        match self.client {
            Tongue::OpenAi => answer.openai_error(self.row.status),
            Tongue::Anthropic => answer.anthropic_error(self.row.status),
        };
        if let Some(code) = self.row.code {
            assert_eq!(answer.json()["code"], code, "{self:?}: {answer:?}");
        }
    }
}

/// A fake that fails, with a provider of its own for each case: no case sees the breakers of another.
struct Failing {
    fake: FakeUpstream,
    cases: Vec<Case>,
    prefix: String,
}

impl Failing {
    fn provider(&self, case: &Case) -> String {
        format!("{}-{}", self.prefix, case.number)
    }

    fn config(&self, hole: &BlackHole) -> String {
        let line = |case: &Case| {
            let url = match (case.row.cause, case.upstream) {
                (Cause::Refuses, _) => refused().expect("a port"),
                (Cause::Swallows, _) => hole.url().expect("a url"),
                (_, Tongue::OpenAi) => self.fake.base_url(),
                (_, Tongue::Anthropic) => self.fake.origin(),
            };
            let dialect = match case.upstream {
                Tongue::OpenAi => "openai_chat",
                Tongue::Anthropic => "anthropic_messages",
            };
            format!(
                "  {}: {{ dialect: {dialect}, base_url: \"{url}\", api_key: sk-fake-failing }}\n",
                self.provider(case)
            )
        };
        self.cases.iter().map(line).collect()
    }
}

#[test]
fn every_row_of_the_failure_table_is_followed() {
    run(async {
        let hole = BlackHole::dig().await.expect("a black hole");
        let good = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let mut failing = Vec::new();
        for (at, row) in ROWS.into_iter().enumerate() {
            for (tongue, letter) in TONGUES.into_iter().zip(["o", "a"]) {
                failing.push(Failing {
                    fake: FakeUpstream::start(Script::default()).await.expect("a fake upstream"),
                    cases: Case::all(row, tongue).collect(),
                    prefix: format!("p{at}{letter}"),
                });
            }
        }
        let providers: String = failing.iter().map(|one| one.config(&hole)).collect();
        let config = format!(
            "providers:\n  good-o: {{ dialect: openai_chat, base_url: \"{}\", api_key: sk-fake-failing }}\n  \
             good-a: {{ dialect: anthropic_messages, base_url: \"{}\", api_key: sk-fake-failing }}\n{providers}\
             policies: {{ default: {{ fallback: {{ retries: {RETRIES} }}, timeouts: {{ connect: 400ms }} }} }}\n",
            good.base_url(),
            good.origin(),
        );
        let baton = Arc::new(Baton::start(&config).await);
        let mut rows = JoinSet::new();
        for one in failing {
            let baton = Arc::clone(&baton);
            rows.spawn(async move {
                for case in &one.cases {
                    check(&baton, &one, case).await;
                }
                one.cases.iter().filter(|case| case.backed && case.row.passes_on).count()
            });
        }
        let mut passed_on = 0;
        while let Some(row) = rows.join_next().await {
            match row {
                Ok(count) => passed_on += count,
                Err(failed) => std::panic::resume_unwind(failed.into_panic()),
            }
        }
        // Nobody asked the second target who should not have.
        assert_eq!(good.seen().len(), passed_on);
    });
}

async fn check(baton: &Baton, failing: &Failing, case: &Case) {
    let provider = failing.provider(case);
    let first = format!("{provider}/fake");
    // The other dialect, so that a fallback crosses over.
    let other = if case.upstream == Tongue::OpenAi { "good-a" } else { "good-o" };
    let second = format!("{other}/{provider}/fake");
    let before = failing.fake.seen().len();
    for _ in 0..case.attempts() {
        case.step().into_iter().for_each(|step| failing.fake.then(step));
    }
    let models = if case.backed { vec![first.clone(), second.clone()] } else { vec![first.clone()] };
    let body = case.body(&models);
    let answer = match case.client {
        Tongue::OpenAi => baton.chat(&body).await,
        Tongue::Anthropic => baton.messages(&body).await,
    };
    let row = case.row;
    let saved = case.backed && row.passes_on;
    if saved {
        assert_eq!(answer.status, 200, "{case:?}: {answer:?}");
        assert!(case.text(&answer).starts_with("Hello from the fake model"), "{case:?}: {answer:?}");
        assert_eq!(answer.header("x-baton-model"), second, "{case:?}");
        assert_eq!(answer.header("x-baton-reason"), "fallback_after_fault", "{case:?}");
    } else {
        case.check_error(&answer);
    }
    let attempts = case.attempts() + usize::from(saved);
    assert_eq!(answer.header("x-baton-attempts"), attempts.to_string(), "{case:?}");
    if case.step().is_some() {
        assert_eq!(failing.fake.seen().len() - before, case.attempts(), "{case:?}");
    }
    let why = if case.backed { "first_in_order" } else { "only_model" };
    let mut wanted = vec![format!("select {why} -->{first} failed {}", row.kind)];
    wanted.extend(
        (1..case.attempts()).map(|_| format!("retry retry_after_fault {first}->{first} failed {}", row.kind)),
    );
    wanted.push(match (saved, row.passes_on) {
        (true, _) => format!("fallback fallback_after_fault {first}->{second} ok -"),
        (false, true) => format!("stop exhausted {first}->- not_expected -"),
        (false, false) => format!("stop not_retryable {first}->- not_expected -"),
    });
    assert_eq!(story(&baton.run_of(&answer).await), wanted, "{case:?}");
}

/// What an upstream cannot bring about: a client that leaves or stalls, and a fault of the gateway.
const NOT_OF_AN_UPSTREAM: [&str; 3] = ["client_cancelled", "client_stalled", "internal"];

#[test]
fn no_kind_of_failure_is_forgotten() {
    let here: BTreeSet<&str> = ROWS.iter().map(|row| row.kind).chain(NOT_OF_AN_UPSTREAM).collect();
    // The list of the document that users read.
    let document = include_str!("../../../docs/fallback.md");
    let (_, table) = document.split_once("<!-- failures -->").expect("a table");
    let (table, _) = table.split_once("<!-- /failures -->").expect("the end of the table");
    let kinds: BTreeSet<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(kind, _)| kind)
        .collect();
    let missing: Vec<&&str> = kinds.difference(&here).collect();
    assert!(kinds.len() >= 14, "the document lists {kinds:?}");
    assert_eq!(missing, Vec::<&&str>::new(), "kinds of the document without a row here");
}
