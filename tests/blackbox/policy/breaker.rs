//! What a dead provider costs, and which key is used when several are there.

use std::collections::BTreeMap;
use std::time::Duration;

use baton_testkit::client::{Kind, Load, Loop, Surface, Verdict};
use baton_testkit::fake::{Credential, End, FakeUpstream, Fault, Raw, Script, Step};
use serde_json::{Value, json};

use crate::blackbox::support::{Baton, Fixture, PATIENCE, baton, run, until};
use crate::blackbox::v1::{story, text};

/// Requests a second while a provider is dead.
const PER_SECOND: f64 = 200.0;

/// For how long, in seconds: `BATON_DEAD_SECONDS` for the whole of the bar.
fn dead_seconds() -> u32 {
    let given = std::env::var("BATON_DEAD_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    given.unwrap_or(3)
}

#[test]
fn a_dead_provider_costs_a_share_of_the_requests_and_no_answer() {
    run(async {
        for others in [1, 4] {
            dead_among(others).await;
        }
    });
}

/// A pool whose first member is dead, with so many healthy ones behind it.
async fn dead_among(others: usize) {
    let dead = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
    let healthy = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
    let provider = |name: &str, fake: &FakeUpstream| {
        format!("  {name}: {{ dialect: openai_chat, base_url: \"{}\", api_key: k }}\n", fake.base_url())
    };
    let names: Vec<String> = (0..others).map(|at| format!("well{at}")).collect();
    let mut providers = provider("dead", &dead);
    names.iter().for_each(|name| providers += &provider(name, &healthy));
    let pool: String = names.iter().map(|name| format!(", {name}/fake")).collect();
    let config = format!(
        "providers:\n{providers}policies: {{ default: {{ fallback: {{ retries: 2 }} }} }}\n\
         routes:\n  pool: {{ pool: [dead/fault-500{pool}] }}\n"
    );
    let baton = Baton::start(&config).await;

    let kind = |surface, stream| Kind { surface, model: "pool".to_owned(), stream };
    let most = u64::from(dead_seconds()) * 200;
    let load = Load {
        server: baton.address().parse().expect("an address"),
        key: None,
        kinds: vec![
            kind(Surface::Chat, false),
            kind(Surface::Chat, true),
            kind(Surface::Messages, false),
            kind(Surface::Messages, true),
        ],
        pace: Loop::Open { per_second: PER_SECOND },
        at_once: 64,
        most,
        timeout: PATIENCE,
        label: format!("dead-{others}"),
    };
    let most = usize::try_from(most).expect("a small number");
    let running = load.start();
    let all = running.logged(most, PATIENCE + 2 * Duration::from_secs(u64::from(dead_seconds()))).await;
    let log = running.stop().await;
    assert!(all && log.len() == most, "{} of {most} requests", log.len());
    let failed = log.iter().filter(|entry| entry.verdict != Verdict::Ok).count();

    let attempts: Vec<Duration> = dead.seen().iter().map(|seen| seen.at).collect();
    let answered: Vec<Duration> = healthy.seen().iter().map(|seen| seen.at).collect();
    let opened = attempts.first().copied().unwrap_or_default() + Duration::from_secs(1);
    let later = attempts.iter().filter(|at| **at > opened).count();
    let lasted = answered.last().copied().unwrap_or_default().saturating_sub(opened).as_secs_f64();
    // The fakes were started together, so that their times compare.
    let asked = answered.iter().filter(|at| **at > opened).count();
    println!(
        "pool of {}: {} requests, {failed} failed, {} attempts on the dead one, {later} of them after its first \
         second, in which {asked} requests came in {lasted:.1} s",
        others + 1,
        log.len(),
        attempts.len(),
    );
    assert_eq!(failed, 0, "requests failed although a healthy target was there");
    assert!(attempts.len() >= 5, "the provider was not tried: {attempts:?}");
    let bar = |requests: usize, seconds: f64| {
        0.2 * f64::from(u32::try_from(requests).expect("a small number")) + 10.0 * seconds
    };
    assert!(f64::from(u32::try_from(later).expect("small")) <= bar(asked, lasted).max(2.0));
    let whole = bar(log.len(), lasted + 1.0);
    assert!(f64::from(u32::try_from(attempts.len()).expect("small")) <= whole, "{} attempts", attempts.len());

    let decisions = all_decisions(&baton, log.len()).await;
    let rejected = decisions.iter().filter(|one| one["candidates"][0]["code"] == "breaker_open").count();
    assert!(rejected * 2 > log.len(), "the breaker kept {rejected} of {} requests away", log.len());
    nothing_after_content(&decisions);
}

#[test]
fn nothing_is_tried_again_after_content() {
    run(async {
        let fixture = Fixture::start("policies: { default: { fallback: { retries: 3 } } }").await;
        let mut broken = 0;
        for number in 0..24 {
            let fault = ["fault-after-content", "fault-reset", "fault-garbage"][number % 3];
            let body =
                json!({"model": [format!("oai/{fault}"), "ant/fake"], "messages": "hi", "stream": true});
            let answer = fixture.baton.chat(&body).await.expect(200);
            if answer.header("x-baton-reason") == "first_in_order" {
                broken += 1;
                let run = fixture.baton.run_of(&answer).await;
                let decisions = run["decisions"].as_array().expect("decisions");
                assert_eq!(decisions.len(), 1, "{run}");
                assert_eq!(decisions[0]["outcome"]["content_sent"], true, "{run}");
                assert_eq!(decisions[0]["outcome"]["status"], "failed", "{run}");
            }
        }
        assert!(broken >= 3, "only {broken} streams broke off");
        nothing_after_content(&all_decisions(&fixture.baton, 24).await);
    });
}

/// No decision of a run follows one whose content went to the client.
fn nothing_after_content(decisions: &[Value]) {
    let mut runs: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for decision in decisions {
        runs.entry(text(&decision["run"])).or_default().push(decision);
    }
    for chain in runs.values_mut() {
        chain.sort_by_key(|one| text(&one["id"]));
        let sent = chain.iter().position(|one| one["outcome"]["content_sent"] == true);
        let last = chain.len() - 1;
        assert!(sent.is_none_or(|at| at == last), "something followed content: {chain:?}");
    }
}

/// Every decision, once the store has so many runs and every attempt its outcome.
async fn all_decisions(baton: &Baton, runs: usize) -> Vec<Value> {
    until("the store has every decision", async || {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let page = baton.get(&format!("/v1/decisions?limit=100{after}")).await.expect(200).json();
            all.extend(page["data"].as_array()?.iter().cloned());
            if page["has_more"] == false {
                break;
            }
            after = format!("&starting_after={}", text(&all.last()?["id"]));
        }
        let begun = all.iter().filter(|one| one.get("policy").is_some()).count();
        let open = all.iter().any(|one| one["outcome"]["status"] == "running");
        (begun >= runs && !open).then_some(all)
    })
    .await
}

/// A provider with two keys, and a server that asks it at most once for each.
async fn two_keys(script: Script) -> (FakeUpstream, Baton) {
    let fake = FakeUpstream::start(script).await.expect("a fake upstream");
    let config = format!(
        "providers:\n  oai: {{ dialect: openai_chat, base_url: \"{}\", api_keys: [sk-one, sk-two] }}\n\
         policies: {{ default: {{ fallback: {{ retries: 0 }} }} }}\n",
        fake.base_url(),
    );
    let baton = Baton::start(&config).await;
    (fake, baton)
}

#[test]
fn a_key_that_is_used_up_gives_way_to_the_other() {
    run(async {
        let (fake, baton) = two_keys(Script::default().then(Step::Fault(Fault::RateLimited))).await;
        let body = json!({"model": "oai/fake", "messages": "hi"});
        let answer = baton.chat(&body).await.expect(200);
        assert_eq!(
            story(&baton.run_of(&answer).await),
            [
                "select only_model -->oai/fake failed rate_limited",
                "retry retry_after_fault oai/fake->oai/fake ok -"
            ]
        );
        for _ in 0..4 {
            let answer = baton.chat(&body).await.expect(200);
            assert_eq!(answer.header("x-baton-attempts"), "1");
        }
        let keys: Vec<Option<Credential>> = fake.seen().iter().map(|seen| seen.credential).collect();
        let [spent, others @ ..] = keys.as_slice() else { panic!("nothing was asked") };
        assert_eq!(others.len(), 5);
        assert!(others.iter().all(|key| key != spent), "the key that cools was used: {keys:?}");
    });
}

#[test]
fn a_key_that_is_refused_gives_way_to_the_other_and_the_record_shows_it() {
    run(async {
        let (fake, baton) = two_keys(Script::default().key("sk-two")).await;
        let mut refused = 0;
        for _ in 0..8 {
            let answer = baton.chat(&json!({"model": "oai/fake", "messages": "hi"})).await.expect(200);
            let story = story(&baton.run_of(&answer).await);
            match story.as_slice() {
                [only] => assert_eq!(only, "select only_model -->oai/fake ok -"),
                [first, second] => {
                    refused += 1;
                    assert_eq!(first, "select only_model -->oai/fake failed unauthorized");
                    assert_eq!(second, "retry retry_after_fault oai/fake->oai/fake ok -");
                }
                _ => panic!("{story:?}"),
            }
        }
        let bad = fake.seen().iter().filter(|seen| seen.credential == Some(Credential::of("sk-one"))).count();
        assert_eq!(bad, refused);
        assert!(refused >= 1, "the refused key never had its turn");
    });
}

/// 429, and for so many seconds nothing more.
fn rests(seconds: u32) -> Step {
    let error = json!({"type": "rate_limit_exceeded", "code": "rate_limit_exceeded", "message": "Slow down.", "param": null});
    let header = |name: &str, value: String| (name.to_owned(), value);
    Step::Raw(Raw {
        status: 429,
        headers: vec![
            header("content-type", "application/json".to_owned()),
            header("retry-after", seconds.to_string()),
        ],
        pieces: vec![json!({"error": error}).to_string().into_bytes()],
        then: End::Whole,
    })
}

#[test]
fn where_all_rest_the_first_to_be_well_again_is_tried_once() {
    run(async {
        let script = Script::default().then(rests(500));
        let openai = FakeUpstream::start(script).await.expect("a fake upstream");
        let script = Script::default().then(rests(300)).then(Step::Fault(Fault::ServerError));
        let anthropic = FakeUpstream::start(script).await.expect("a fake upstream");
        // Too little time to wait until one of them is well.
        let policies = "policies: { default: { fallback: { retries: 2 }, timeouts: { total: 60s } } }";
        let baton = Baton::start(&Fixture::config(&openai, &anthropic, policies)).await;
        let body = json!({"model": ["oai/fake", "ant/fake"], "messages": "hi"});
        baton.chat(&body).await.openai_error(429);
        assert_eq!((openai.seen().len(), anthropic.seen().len()), (1, 1));

        // It fails still: one attempt is all there is.
        let answer = baton.chat(&body).await;
        answer.openai_error(500);
        assert_eq!(answer.header("x-baton-attempts"), "1");
        assert_eq!(
            story(&baton.run_of(&answer).await),
            [
                "select last_resort -->ant/fake failed server_error",
                "stop exhausted ant/fake->- not_expected -",
            ]
        );
        // It is well again, before its time.
        let answer = baton.chat(&body).await.expect(200);
        assert_eq!(
            (answer.header("x-baton-model"), answer.header("x-baton-reason")),
            ("ant/fake", "last_resort")
        );
        let run = baton.run_of(&answer).await;
        let table = &run["decisions"][0]["candidates"];
        assert_eq!((&table[0]["code"], &table[1]["verdict"]), (&json!("cooling_down"), &json!("selected")));
        assert_eq!((openai.seen().len(), anthropic.seen().len()), (1, 3));
    });
}

#[test]
fn what_an_operator_switches_off_is_not_asked_until_it_is_switched_on_again() {
    run(async {
        let fixture = Fixture::start("").await;
        let body = json!({"model": ["oai/fake", "ant/fake"], "messages": "hi"});
        let asked = async || {
            let answer = fixture.baton.chat(&body).await;
            let run = fixture.baton.run_of(&answer).await;
            let codes = run["decisions"][0]["candidates"].as_array().cloned().unwrap_or_default();
            (answer, codes.iter().map(|one| text(&one["code"])).collect::<Vec<_>>())
        };
        let home = &fixture.baton.home;
        baton(home, &["targets", "drain", "oai"]).await.expect(0);
        let (answer, codes) = asked().await;
        assert_eq!((answer.header("x-baton-model"), codes[0].as_str()), ("ant/fake", "drained"));
        baton(home, &["targets", "disable", "ant/fake"]).await.expect(0);
        let (answer, codes) = asked().await;
        assert_eq!(codes, ["drained", "disabled"]);
        let error = answer.openai_error(503);
        assert_eq!(
            (&error["code"], &error["candidates"][1]["code"]),
            (&json!("drained"), &json!("disabled"))
        );
        let listed = baton(home, &["targets", "list", "--json"]).await.expect(0).json();
        let states = listed["data"].as_array().expect("a list");
        assert!(
            states.iter().any(|one| one["target"] == "ant/fake" && one["state"] == "disabled"),
            "{listed}"
        );
        for scope in ["oai", "ant/fake"] {
            baton(home, &["targets", "enable", scope]).await.expect(0);
        }
        let (answer, _) = asked().await;
        assert_eq!((answer.status, answer.header("x-baton-model")), (200, "oai/fake"));
        assert_eq!((fixture.openai.seen().len(), fixture.anthropic.seen().len()), (1, 1));
    });
}
