//! Workflows in runs: what is wrong with one, how many steps are open, what a budget allows, and what a process
//! finds that goes on with one.

use baton_testkit::fake::{FakeUpstream, Fault, Script, Seen, Step};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{SHORT_LEASE, are_whole, events_of, id_of, param, queued, reaches, started};
use crate::blackbox::handoff::{calls, says, scripted};
use crate::blackbox::mcp::server::Mcp;
use crate::blackbox::support::{Baton, Fixture, Home, run, until};

const FILE: &str = "
agents:
  root: { model: echo/hello, description: answers, instruction: Answer. }
workflows:
  greet: { context: [user], sequence: [{ name: hello, model: echo/parrot, input: 'Hello {{context.user}}: {{input}}' }] }
";

fn asks(step: &Value) -> Value {
    json!({"input": "x", "workflow": {"sequence": [step]}})
}

#[test]
fn what_is_wrong_with_a_workflow_is_told_with_its_path_and_leaves_no_run() {
    run(async {
        let baton = Baton::start(FILE).await;
        let step = |more: Value| {
            let mut step = json!({"name": "a", "model": "echo/hello"});
            step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            asks(&step)
        };
        let with = |member: &str, value: Value| {
            let mut body = asks(&json!({"name": "a", "model": "echo/hello"}));
            body[member] = value;
            body
        };
        let named = |name: &str| json!({"input": "x", "workflow": name});
        let cases = [
            (400, "workflow", named("greed")),
            (400, "context.user", named("greet")),
            (400, "workflow", json!({"input": "x", "workflow": 7})),
            (400, "workflow", json!({"input": "x", "workflow": {}})),
            (400, "workflow.sequence[0].workflow", asks(&json!({"name": "a", "workflow": "inline"}))),
            (400, "workflow.sequence[0].input", step(json!({"input": "{{steps.b.output}}"}))),
            (400, "workflow.sequence[0].input", step(json!({"input": "{{context.user}}"}))),
            (400, "workflow.sequence[0].modell", step(json!({"modell": "x"}))),
            (404, "workflow.sequence[0].model", asks(&json!({"name": "a", "model": "nobody/has-this"}))),
            (404, "workflow.sequence[0].models", asks(&json!({"name": "a", "models": ["nobody/has-this"]}))),
            (404, "workflow.sequence[0].agent", asks(&json!({"name": "a", "agent": "nobody"}))),
            (
                400,
                "workflow.sequence[0].agent",
                asks(&json!({"name": "a", "agent": {"model": "echo/hello", "command": ["sh"]}})),
            ),
            (
                400,
                "workflow.sequence[0].mcp_servers",
                step(json!({"mcp_servers": ["http://127.0.0.1:1/mcp"]})),
            ),
            (400, "workflow.sequence[0].validation.cel", step(json!({"validation": {"cel": "user == 1"}}))),
            (
                400,
                "workflow.sequence[0].validation.cel",
                step(json!({"validation": {"cel": "json.all(x, json . all(y, x == y))"}})),
            ),
            (
                404,
                "workflow.sequence[0].validation.judge",
                step(json!({"validation": {"criteria": "good", "judge": "nobody/has-this"}})),
            ),
            (400, "input", with("input", json!([{"role": "assistant", "content": "x"}]))),
            (400, "temperature", with("temperature", json!(1))),
            (400, "mcp_servers", with("mcp_servers", json!(["acme"]))),
            (400, "agent", with("agent", json!("root"))),
            (400, "validation.on_failure", with("validation", json!({"cel": "true", "on_failure": "retry"}))),
        ];
        for (status, path, body) in cases {
            let refused = baton.post("/v1/runs", &body).await;
            assert_eq!(param(&refused, status), path, "{body}: {}", refused.text());
        }
        assert_eq!(baton.get("/v1/runs").await.expect(200).json()["data"], json!([]), "nothing is stored");
        let done =
            started(&baton, json!({"input": "x", "workflow": "greet", "context": {"user": "Ann"}})).await;
        assert_eq!(
            (&done["status"], &done["steps"][0]["output"]),
            (&json!("completed"), &json!("Hello Ann: x"))
        );
    });
}

/// The places in the story where steps begin and end.
fn story(events: &[super::Event]) -> Vec<String> {
    let of_steps = events.iter().filter(|event| matches!(event.name.as_str(), "step_start" | "step_end"));
    let line = |event: &super::Event| {
        format!("{} {}", event.name.trim_start_matches("step_"), event.data["step"].as_str().unwrap())
    };
    of_steps.map(line).collect()
}

fn views(more: &Value) -> Value {
    let branch =
        |name: &str| json!({"name": name, "model": "echo/parrot", "input": format!("{name}: {{{{input}}}}")});
    let branches = ["a", "b", "c"].map(branch);
    let mut parallel = json!({"branches": branches});
    parallel.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"input": "x", "workflow": {"parallel": parallel}})
}

#[test]
fn no_more_branches_are_open_than_were_asked_for() {
    run(async {
        let baton = Baton::start("").await;
        let told = async |body: Value| {
            let done = started(&baton, body).await;
            assert_eq!(done["output"]["text"], "## a\n\na: x\n\n## b\n\nb: x\n\n## c\n\nc: x", "{done}");
            let events = events_of(&baton, &id_of(&done), None).await;
            are_whole(&events);
            story(&events)
        };
        let all = told(views(&json!({}))).await;
        assert_eq!(all[..3], ["start a", "start b", "start c"], "all begin before one has ended");
        let one = told(views(&json!({"max_parallel": 1}))).await;
        assert_eq!(one, ["start a", "end a", "start b", "end b", "start c", "end c"]);
        let two = told(views(&json!({"max_parallel": 2}))).await;
        let open = two.iter().scan(0_i32, |open, line| {
            *open += if line.starts_with("start") { 1 } else { -1 };
            Some(*open)
        });
        assert_eq!(open.max(), Some(2), "{two:?}");
    });
}

#[test]
fn branches_share_the_budget_of_their_run() {
    run(async {
        let prices = "models: { oai/fault-header-stall: { price: { input: 1000, output: 1000 } } }";
        let fixture = scripted(Vec::new(), Vec::new(), prices).await;
        // 100 tokens of output and about as many of input, at 0.1 cents each: two answers may cost 0.4 dollars.
        let silent = |name: &str| json!({"name": name, "model": "oai/fault-header-stall", "settings": {"max_tokens": 100}});
        let branches = ["a", "b", "c", "d"].map(silent);
        let body = json!({
            "input": "x", "budget": {"max_cost_usd": "0.45"},
            "workflow": {"parallel": {"branches": branches, "on_branch_error": "skip"}},
        });
        let id = queued(&fixture.baton, body).await;
        // What two of them may cost is kept for them while they wait, so that nothing is left for the others.
        let refused = until("two find nothing left", async || {
            let run = super::read(&fixture.baton, &id).await;
            let steps = run["steps"].as_array()?.clone();
            let refused: Vec<Value> = steps.into_iter().filter(|step| step["status"] == "failed").collect();
            (refused.len() == 2).then_some(refused)
        })
        .await;
        assert!(refused.iter().all(|step| step["error"]["code"] == "budget_reached"), "{refused:?}");
        until("two are asked", async || (fixture.openai.seen().len() == 2).then_some(())).await;
        fixture.baton.post(&format!("/v1/runs/{id}/cancel"), &json!({})).await.expect(200);
        reaches(&fixture.baton, &id, "cancelled").await;
        assert_eq!(fixture.openai.seen().len(), 2, "who finds nothing left asks nobody");
    });
}

/// Fakes that outlive the gateways that ask them.
struct World {
    openai: FakeUpstream,
    _anthropic: FakeUpstream,
    home: Home,
}

impl World {
    async fn new(steps: Vec<Step>, more: &str) -> Self {
        let script = steps.into_iter().fold(Script::default(), Script::then);
        let openai = FakeUpstream::start(script).await.expect("a fake upstream");
        let anthropic = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let home = Home::new(&Fixture::config(&openai, &anthropic, more));
        Self { openai, _anthropic: anthropic, home }
    }

    async fn gateway(&self) -> Baton {
        Baton::start_in(self.home.clone(), &SHORT_LEASE).await
    }

    async fn asked(&self, times: usize) {
        until("the upstream is asked", async || (self.openai.seen().len() == times).then_some(())).await;
    }
}

async fn killed(mut baton: Baton) {
    baton.signal(Signal::KILL);
    baton.ended().await;
}

fn silent() -> Step {
    Step::Fault(Fault::HeaderStall)
}

#[test]
fn another_process_goes_on_with_each_step_where_it_was() {
    run(async {
        let mcp = Mcp::start().await;
        let servers = format!("mcp_servers: {{ acme: {{ url: \"{}\" }} }}", mcp.url());
        let query = calls(vec![("acme__query".to_owned(), json!({"q": "cats"}))]);
        // The first step is answered; the second calls its tool, and is cut off before its second turn.
        let steps = vec![says("First."), query, silent(), says("Cats were found."), says("Third.")];
        let world = World::new(steps, &servers).await;
        let first = world.gateway().await;
        let body = json!({"input": "x", "workflow": {"sequence": [
            {"name": "one", "model": "oai/fake"},
            {"name": "two", "model": "oai/fake", "mcp_servers": ["acme"]},
            {"name": "three", "model": "oai/fake"},
        ]}});
        let id = queued(&first, body).await;
        world.asked(3).await;
        killed(first).await;
        let second = world.gateway().await;
        let ended = reaches(&second, &id, "completed").await;
        assert_eq!(ended["output"]["text"], "Third.", "{ended}");
        assert_eq!(
            (mcp.calls().len(), world.openai.seen().len()),
            (1, 5),
            "no answered turn is asked for again"
        );
        let attempts: Vec<&Value> =
            ended["steps"].as_array().unwrap().iter().map(|step| &step["attempts"]).collect();
        assert_eq!(attempts, [&json!(1), &json!(1), &json!(1)], "{ended}");
        assert_eq!((&ended["turns_consumed"], &ended["tool_results"][0]["step"]), (&json!(4), &json!("two")));
        let events = events_of(&second, &id, None).await;
        are_whole(&events);
        let expected = ["start one", "end one", "start two", "end two", "start three", "end three"];
        assert_eq!(story(&events), expected, "nothing is told twice");
        let last = world.openai.seen()[3].json()["messages"].to_string();
        assert!(last.contains("found: cats"), "{last}");
    });
}

#[test]
fn branches_that_have_answered_are_not_asked_again() {
    run(async {
        let world = World::new(vec![], "").await;
        let first = world.gateway().await;
        let body = json!({"input": "x", "workflow": {"parallel": {
            "branches": [
                {"name": "quick", "model": "oai/fake-quick"},
                {"name": "slow", "model": "oai/fault-header-stall"},
            ],
            "on_branch_error": "skip",
        }}});
        let id = queued(&first, body).await;
        let step = |run: &Value, at: usize| run["steps"][at]["status"].clone();
        until("one of them has answered", async || {
            let run = super::read(&first, &id).await;
            (step(&run, 0) == "completed").then_some(())
        })
        .await;
        killed(first).await;
        let second = world.gateway().await;
        let of = |name: &str, seen: &[Seen]| seen.iter().filter(|one| one.json()["model"] == name).count();
        until("the other one is asked again", async || {
            (of("fault-header-stall", &world.openai.seen()) == 2).then_some(())
        })
        .await;
        assert_eq!(of("fake-quick", &world.openai.seen()), 1);
        second.post(&format!("/v1/runs/{id}/cancel"), &json!({})).await.expect(200);
        let cancelled = reaches(&second, &id, "cancelled").await;
        assert_eq!(step(&cancelled, 0), "completed", "what it came to is shown: {cancelled}");
        are_whole(&events_of(&second, &id, None).await);
    });
}

#[test]
fn a_time_that_is_over_ends_a_workflow_with_what_there_is() {
    run(async {
        let fixture = scripted(vec![says("First."), silent()], Vec::new(), "").await;
        let body = json!({
            "input": "x", "budget": {"max_seconds": 1},
            "workflow": {"sequence": [{"name": "one", "model": "oai/fake"}, {"name": "two", "model": "oai/fake"}]},
        });
        let ended = started(&fixture.baton, body).await;
        assert_eq!(
            (&ended["status"], &ended["incomplete_details"]["reason"]),
            (&json!("incomplete"), &json!("max_seconds")),
            "{ended}"
        );
        assert_eq!(ended["steps"][0]["output"], "First.", "{ended}");
    });
}

#[test]
fn a_run_after_a_workflow_goes_on_with_what_was_said() {
    run(async {
        let fixture = scripted(vec![says("A report."), says("Shorter.")], Vec::new(), "").await;
        let first = json!({"input": "tea", "workflow": {"sequence": [{"name": "one", "model": "oai/fake"}]}});
        let first = started(&fixture.baton, first).await;
        let next = json!({"input": "Make it short", "previous_run": first["id"]});
        assert_eq!(param(&fixture.baton.post("/v1/runs", &next).await, 400), "model");
        let mut next = next;
        next["model"] = json!("oai/fake");
        let next = started(&fixture.baton, next).await;
        assert_eq!(next["output"]["text"], "Shorter.", "{next}");
        let seen = fixture.openai.seen()[1].json();
        let said: Vec<&str> =
            seen["messages"].as_array().unwrap().iter().map(|one| one["content"].as_str().unwrap()).collect();
        assert_eq!(said, ["tea", "A report.", "Make it short"]);
    });
}
