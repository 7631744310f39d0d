//! Runs whose process dies: another one goes on, from where the run was.

use baton_testkit::fake::{FakeUpstream, Script, Step};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{SHORT_LEASE, are_whole, events_of, queued, reaches};
use crate::blackbox::handoff::{calls, says};
use crate::blackbox::mcp::server::Mcp;
use crate::blackbox::support::{Baton, Fixture, Home, run, until};

/// Fakes that outlive the gateways that ask them.
struct World {
    openai: FakeUpstream,
    anthropic: FakeUpstream,
    home: Home,
}

impl World {
    async fn new(steps: Vec<Step>, more: &str) -> Self {
        let script = steps.into_iter().fold(Script::default(), Script::then);
        let openai = FakeUpstream::start(script).await.expect("a fake upstream");
        let anthropic = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let home = Home::new(&Fixture::config(&openai, &anthropic, more));
        Self { openai, anthropic, home }
    }

    async fn gateway(&self) -> Baton {
        Baton::start_in(self.home.clone(), &SHORT_LEASE).await
    }

    /// How many requests the fakes got.
    fn asked(&self) -> usize {
        self.openai.seen().len() + self.anthropic.seen().len()
    }
}

async fn killed(mut baton: Baton) {
    baton.signal(Signal::KILL);
    baton.ended().await;
}

#[test]
fn an_answer_that_was_not_written_is_asked_for_again() {
    run(async {
        let silent = Step::Fault(baton_testkit::fake::Fault::HeaderStall);
        let world = World::new(vec![silent, says("There it is.")], "").await;
        let first = world.gateway().await;
        let id = queued(&first, json!({"model": "oai/fake", "input": "x"})).await;
        until("the upstream is asked", async || (world.asked() == 1).then_some(())).await;
        killed(first).await;
        let second = world.gateway().await;
        let ended = reaches(&second, &id, "completed").await;
        assert_eq!((&ended["output"]["text"], &ended["turns_consumed"]), (&json!("There it is."), &json!(1)));
        assert_eq!(world.asked(), 2);
        are_whole(&events_of(&second, &id, None).await);
        let decisions = second.settled(&id).await["decisions"].as_array().expect("decisions").clone();
        let ended: Vec<&Value> = decisions.iter().map(|one| &one["outcome"]["status"]).collect();
        assert_eq!(decisions.len(), 2, "a decision for each time that it was asked: {decisions:?}");
        assert_eq!(ended.last(), Some(&&json!("ok")), "{ended:?}");
    });
}

#[test]
fn what_was_written_is_not_done_again() {
    run(async {
        let mcp = Mcp::start().await;
        let servers = format!("mcp_servers: {{ acme: {{ url: \"{}\" }} }}", mcp.url());
        let silent = Step::Fault(baton_testkit::fake::Fault::HeaderStall);
        let query = calls(vec![("acme__query".to_owned(), json!({"q": "cats"}))]);
        let world = World::new(vec![query, silent, says("Cats were found.")], &servers).await;
        let first = world.gateway().await;
        let body = json!({"model": "oai/fake", "input": "x", "mcp_servers": ["acme"]});
        let id = queued(&first, body).await;
        until("the second turn is asked for", async || (world.asked() == 2).then_some(())).await;
        killed(first).await;
        let second = world.gateway().await;
        let ended = reaches(&second, &id, "completed").await;
        assert_eq!(
            (&ended["output"]["text"], &ended["turns_consumed"]),
            (&json!("Cats were found."), &json!(2)),
            "{ended}"
        );
        assert_eq!((mcp.calls().len(), world.asked()), (1, 3), "the tool is called once");
        let last = world.openai.seen().pop().expect("a request").json();
        assert!(last["messages"].to_string().contains("found: cats"), "{last}");
        are_whole(&events_of(&second, &id, None).await);
        let kinds: Vec<String> = super::decided(&second, &id).await;
        assert_eq!(kinds, ["select oai/fake", "stay oai/fake", "retry oai/fake"]);
    });
}

#[test]
fn a_call_of_unknown_outcome_is_not_repeated_and_the_model_is_told() {
    run(async {
        let mcp = Mcp::start().await;
        let servers = format!("mcp_servers: {{ acme: {{ url: \"{}\" }} }}", mcp.url());
        let query = calls(vec![("acme__query".to_owned(), json!({"q": "pay the bill"}))]);
        let world = World::new(vec![query, says("I do not know whether it was paid.")], &servers).await;
        let first = world.gateway().await;
        mcp.hold_calls();
        let body = json!({"model": "oai/fake", "input": "x", "mcp_servers": ["acme"]});
        let id = queued(&first, body).await;
        until("the tool is called", async || (mcp.held() == 1).then_some(())).await;
        killed(first).await;
        let second = world.gateway().await;
        let ended = reaches(&second, &id, "completed").await;
        assert_eq!(mcp.calls().len(), 1, "a call that may have had its effect is made once");
        let told = &ended["tool_results"][0];
        assert_eq!((&told["outcome_unknown"], &told["is_error"]), (&json!(true), &json!(true)), "{ended}");
        let last = world.openai.seen().pop().expect("a request").json();
        assert!(
            last["messages"].to_string().contains("not known whether this call was carried out"),
            "{last}"
        );
        are_whole(&events_of(&second, &id, None).await);
    });
}

#[test]
fn agents_go_on_where_they_were() {
    run(async {
        let team = "
agents:
  triage: { model: oai/fake-triage, description: Finds out who can help, instruction: Hand over., handoffs: [{ agent: billing, returns: true }] }
  billing: { model: oai/fake-billing, description: Knows every invoice, instruction: Help., sub_agents: [clerk] }
  clerk: { model: oai/fake-clerk, description: Files, instruction: File. }
";
        let silent = || Step::Fault(baton_testkit::fake::Fault::HeaderStall);
        let task = json!({"agent": "clerk", "task": "file it", "expected_output": "a number"});
        let handoff = json!({"agent": "billing", "reason": "an invoice"});
        let steps = vec![
            calls(vec![("handoff".to_owned(), handoff)]),
            silent(),
            calls(vec![("transfer_task".to_owned(), task)]),
            silent(),
            says("Filed under 7."),
            says("The invoice is filed."),
            silent(),
            says("All is well."),
        ];
        let world = World::new(steps, team).await;
        let mut gateway = world.gateway().await;
        let id = queued(&gateway, json!({"agent": "triage", "input": "My invoice"})).await;
        for asked in [2, 4, 7] {
            until("the silent one is asked", async || (world.asked() == asked).then_some(())).await;
            killed(gateway).await;
            gateway = world.gateway().await;
        }
        let ended = reaches(&gateway, &id, "completed").await;
        assert_eq!(
            ended["agents_used"],
            json!(["triage", "billing", "clerk", "billing", "triage"]),
            "{ended}"
        );
        assert_eq!(ended["output"]["text"], "The invoice is filed.\n\nAll is well.", "{ended}");
        let by: Vec<&Value> =
            ended["handoffs"].as_array().expect("a list").iter().map(|one| &one["by"]).collect();
        assert_eq!(by, [&json!("model"), &json!("return")], "{ended}");
        assert_eq!((world.asked(), &ended["turns_consumed"]), (8, &json!(5)));
        let told = events_of(&gateway, &id, None).await;
        are_whole(&told);
        let models: Vec<String> = world
            .openai
            .seen()
            .iter()
            .map(|seen| seen.json()["model"].as_str().unwrap_or_default().to_owned())
            .collect();
        let of = |name: &str| models.iter().filter(|model| model.ends_with(name)).count();
        assert_eq!((of("triage"), of("billing"), of("clerk")), (3, 3, 2), "{models:?}");
    });
}

#[test]
fn a_process_that_stops_in_order_lets_its_runs_go() {
    run(async {
        let silent = Step::Fault(baton_testkit::fake::Fault::HeaderStall);
        let world = World::new(vec![silent, says("There it is.")], "").await;
        // The lease is long: who comes next need not wait for its end.
        let mut first = Baton::start_in(world.home.clone(), &[]).await;
        let id = queued(&first, json!({"model": "oai/fake", "input": "x"})).await;
        until("the upstream is asked", async || (world.asked() == 1).then_some(())).await;
        first.signal(Signal::TERM);
        assert_eq!(first.ended().await, Some(0));
        let second = Baton::start_in(world.home.clone(), &[]).await;
        assert_eq!(reaches(&second, &id, "completed").await["output"]["text"], "There it is.");
        are_whole(&events_of(&second, &id, None).await);
    });
}

/// So many times the process is killed, unless the environment says more: `BATON_RUN_KILLS`.
const KILLS: u32 = 5;
/// So many runs are begun before each.
const RUNS: usize = 6;

#[test]
fn runs_end_once_however_often_their_process_is_killed() {
    run(async {
        let kills = std::env::var("BATON_RUN_KILLS").map_or(KILLS, |text| text.parse().expect("a number"));
        let mcp = Mcp::start().await;
        let servers = format!("mcp_servers: {{ acme: {{ url: \"{}\" }} }}", mcp.url());
        let world = World::new(Vec::new(), &servers).await;
        let mut gateway = world.gateway().await;
        let mut ids = Vec::new();
        for kill in 0..kills {
            let before = mcp.calls().len();
            for _ in 0..RUNS {
                // This model calls the tool with what the user says, and then tells what it answered.
                let input = format!("job {}", ids.len());
                let body = json!({"model": "echo/tool", "input": input, "mcp_servers": ["acme"]});
                ids.push(queued(&gateway, body).await);
            }
            // In the middle of what was begun: after another number of calls each time.
            let enough = before + usize::try_from(kill).expect("a number") * 5 % RUNS;
            until("so many tools are called", async || (mcp.calls().len() >= enough).then_some(())).await;
            killed(gateway).await;
            gateway = world.gateway().await;
        }
        let mut unknown = 0;
        for (number, id) in ids.iter().enumerate() {
            let ended = reaches(&gateway, id, "completed").await;
            let results = ended["tool_results"].as_array().expect("results");
            assert_eq!((results.len(), &ended["turns_consumed"]), (1, &json!(2)), "{ended}");
            let text = ended["output"]["text"].as_str().expect("a text");
            if results[0]["outcome_unknown"] == true {
                unknown += 1;
            } else {
                assert!(text.ends_with(&format!("found: job {number}")), "{ended}");
            }
            let told = events_of(&gateway, id, None).await;
            are_whole(&told);
            assert_eq!(super::text_of(&told), text, "told once");
        }
        let mut called: Vec<String> = mcp.calls().iter().map(|call| call["q"].to_string()).collect();
        let all = called.len();
        called.sort();
        called.dedup();
        assert_eq!(called.len(), all, "no tool is called twice for one run");
        assert!(
            all + unknown >= ids.len() && all <= ids.len(),
            "{all} calls, {unknown} unknown, {} runs",
            ids.len()
        );
    });
}
