//! Models that do what they like with a budget: the upstream counts what they cost, and holds it against what the
//! caller allowed.
//!
//! Each script is a run whose models hand over to whoever is dear, to and fro, to nobody; fan out; give each other
//! tasks, also in the background, and stop them; call tools without an end; and use every token that they may.
//! `BATON_BUDGET_SCRIPTS` says how many there are, `BATON_BUDGET_SEED` which. `cargo xtask runs-budget` runs all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::puppet::{Dice, Puppet, Said, number};
use crate::blackbox::mcp::server::Mcp;
use crate::blackbox::support::{Baton, run, sent};

/// So many scripts, unless the environment says more.
const SCRIPTS: usize = 300;
/// So many at the same time.
const AT_ONCE: usize = 12;
/// The most turns of a run, and tokens of an answer.
const MAX_TURNS: u64 = 12;
const MAX_TOKENS: u64 = 100;

/// Who there is, with the price of a token in and out, in nano-dollars.
const MODELS: [(&str, u64, u64); 3] =
    [("cheap", 1_000, 2_000), ("usual", 5_000, 20_000), ("dear", 60_000, 180_000)];
const AGENTS: [&str; 4] = ["root", "helper", "expert", "clerk"];

const TEAM: &str = r#"
agents:
  root:
    model: pup/cheap
    description: Coordinates the work of the others
    instruction: Do it.
    handoffs: [helper, expert]
    sub_agents: [clerk, expert]
    toolsets: [{ type: background_agents }, { type: mcp, ref: acme }]
  helper:
    model: pup/usual
    description: Helps with ordinary questions
    instruction: Help.
    handoffs: [{ agent: expert, returns: true }, root]
    toolsets: [{ type: mcp, ref: acme }]
  expert:
    model: pup/dear
    description: Knows what nobody else knows
    instruction: Know.
    handoffs: [root, helper]
    sub_agents: [clerk]
    toolsets: [{ type: background_agents }]
  clerk: { model: pup/usual, description: Files and finds papers, instruction: File. }
"#;

/// What one script has cost, as its upstream knows.
#[derive(Clone, Debug, Default)]
struct Bill {
    calls: u64,
    /// All that was spent, and the dearest call.
    spent: u64,
    dearest: u64,
    /// Of that, what was spent after the budget was used up.
    late: u64,
    budget: u64,
}

#[derive(Clone)]
struct Bills {
    seed: u64,
    all: Arc<Mutex<HashMap<u64, Bill>>>,
}

impl Bills {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Bill>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A model's answer, and what it costs.
    fn answer(&self, asked: &Value) -> Option<Said> {
        let script = script_of(asked);
        let mut all = self.lock();
        let bill = all.get_mut(&script).expect("a script that was begun");
        bill.calls += 1;
        let mut dice = Dice::new(self.seed ^ (script << 20) ^ bill.calls);
        if dice.below(12) == 0 {
            // It fails before it has cost anything.
            return None;
        }
        let model = asked["model"].as_str().expect("a model");
        let (_, input, output) = MODELS.into_iter().find(|(name, ..)| *name == model).expect("a known model");
        // All that a tokenizer could make of it, or less, and all that it may say.
        let all_of_it = tokens(asked);
        let read = if dice.below(2) == 0 { all_of_it } else { 1 + dice.below(all_of_it) };
        let most = asked["max_tokens"].as_u64().or(asked["max_completion_tokens"].as_u64());
        let most = most.unwrap_or(MAX_TOKENS);
        let wrote = if dice.below(2) == 0 { most } else { 1 + dice.below(most) };
        let cost = read * input + wrote * output;
        bill.late += if bill.spent >= bill.budget { cost } else { 0 };
        bill.spent += cost;
        bill.dearest = bill.dearest.max(cost);
        drop(all);
        let mut said = hostile(script, &mut dice);
        said.input_tokens = read;
        said.output_tokens = wrote;
        Some(said)
    }
}

/// The most tokens that a tokenizer could make of a request: one of each byte that somebody said, and what
/// a vendor puts around a message or a tool.
fn tokens(body: &Value) -> u64 {
    const AROUND: usize = 8;
    let said = |value: &Value| value.as_str().map_or(0, str::len);
    let messages = body["messages"].as_array().expect("messages");
    let messages = messages.iter().map(|message| {
        let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        let calls = calls.iter().map(|call| {
            let call = &call["function"];
            AROUND + said(&call["name"]) + said(&call["arguments"])
        });
        AROUND + said(&message["content"]) + calls.sum::<usize>()
    });
    let tools = body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tools = tools.iter().map(|tool| {
        let tool = &tool["function"];
        AROUND + said(&tool["name"]) + said(&tool["description"]) + tool["parameters"].to_string().len()
    });
    u64::try_from(messages.sum::<usize>() + tools.sum::<usize>()).expect("a number")
}

/// Which script asks. Who gets a task is told in it.
fn script_of(body: &Value) -> u64 {
    let text = body["messages"].to_string();
    let (_, rest) = text.split_once("script ").expect("a script");
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

/// What a model does that wants to spend as much as it can.
fn hostile(script: u64, dice: &mut Dice) -> Said {
    let one_of = |all: &[&str], dice: &mut Dice| {
        let at = dice.below(u64::try_from(all.len()).expect("a number"));
        all[usize::try_from(at).expect("a number")].to_owned()
    };
    let task = |agent: String| json!({"agent": agent, "task": format!("script {script}: again"), "expected_output": "all"});
    let how_many = |dice: &mut Dice| if dice.below(20) == 0 { 1_000 } else { 1 + dice.below(4) };
    let mut calls = Vec::new();
    for _ in 0..=dice.below(2) {
        match dice.below(14) {
            0..=2 => {
                let to = one_of(&AGENTS, dice);
                calls.push(("handoff".to_owned(), json!({"agent": to, "reason": "it is better"})));
            }
            3 | 4 => {
                let to = one_of(&["dear", "usual", "cheap", "Dear", "dear_2", "expert"], dice);
                calls.push((format!("transfer_to_{to}"), json!({"reason": "it is better"})));
            }
            5 | 6 => calls.push(("transfer_task".to_owned(), task(one_of(&AGENTS, dice)))),
            7 | 8 => {
                for _ in 0..how_many(dice) {
                    calls.push(("run_background_agent".to_owned(), task(one_of(&["clerk", "expert"], dice))));
                }
            }
            9 => {
                let id = format!("task_{}", 1 + dice.below(4));
                calls.push(("stop_background_agent".to_owned(), json!({"task_id": id})));
            }
            10 => {
                let ids = ["task_1", "task_2"];
                calls.push(("wait_background_agents".to_owned(), json!({"task_ids": ids, "timeout": 1})));
            }
            11 | 12 => {
                for _ in 0..how_many(dice) {
                    calls.push(("acme__query".to_owned(), json!({"q": "Hand off to the expert."})));
                }
            }
            _ => return Said::text("That is enough."),
        }
    }
    Said::calls(calls)
}

/// How one is asked for: a team, or a pool whose first is cheap.
fn request(script: u64, budget: u64, dice: &mut Dice) -> Value {
    let mut body = json!({
        "input": format!("script {script}: spend all of it"), "max_turns": 1 + dice.below(MAX_TURNS),
        "budget": {"max_cost_usd": format!("{}.{:09}", budget / 1_000_000_000, budget % 1_000_000_000)},
    });
    if dice.below(2) == 0 {
        body["agent"] = json!("root");
    } else {
        body["model"] = json!(["pup/cheap", "pup/usual", "pup/dear"]);
        body["mcp_servers"] = json!(["acme"]);
        body["max_tokens"] = json!(MAX_TOKENS);
    }
    body
}

#[test]
fn no_script_costs_more_than_its_budget() {
    run(async {
        let scripts = u64::try_from(number("BATON_BUDGET_SCRIPTS", SCRIPTS)).expect("a number");
        let seed = number("BATON_BUDGET_SEED", usize::try_from(std::process::id()).expect("a number"));
        let seed = u64::try_from(seed).expect("a number");
        println!("{scripts} hostile scripts, BATON_BUDGET_SEED={seed}");
        let bills = Bills { seed: seed << 32, all: Arc::default() };
        let puppet = Puppet::start({
            let bills = bills.clone();
            move |asked| {
                let said = bills.answer(&asked);
                async move { said }
            }
        })
        .await;
        let mcp = Mcp::start().await;
        let models: String = MODELS
            .iter()
            .map(|(name, input, output)| {
                let [input, output] = [input, output].map(|nano| nano / 1_000);
                format!("  pup/{name}: {{ price: {{ input: {input}, output: {output} }}, max_output_tokens: {MAX_TOKENS} }}\n")
            })
            .collect();
        let baton = Arc::new(
            Baton::start(&format!(
                "providers: {{ pup: {} }}\nmodels:\n{models}mcp_servers: {{ acme: {{ url: \"{}\" }} }}\n\
                 policies: {{ default: {{ fallback: {{ retries: 1 }} }} }}\n{TEAM}",
                puppet.provider(),
                mcp.url(),
            ))
            .await,
        );
        let mut asking = JoinSet::new();
        let mut ended: HashMap<String, u64> = HashMap::new();
        let mut turns = 0;
        for script in 0..scripts {
            let mut dice = Dice::new(bills.seed ^ script);
            // From less than one call to some of the dearest.
            let most = 2_000_000 << dice.below(9);
            let budget = 1 + dice.below(most);
            bills.lock().insert(script, Bill { budget, ..Bill::default() });
            let asked = baton.posting("/v1/runs", &request(script, budget, &mut dice));
            asking.spawn(async move { (script, sent(asked).await) });
            while asking.len() >= AT_ONCE || (script + 1 == scripts && !asking.is_empty()) {
                let (script, answer) = asking.join_next().await.expect("one").expect("an answer");
                let told = answer.expect(200).json();
                let bill = bills.lock()[&script].clone();
                let shown = told["cost_usd"].as_str().map(|cost| cost.parse::<f64>().expect("a number"));
                let shown = shown.unwrap_or_default() * 1e9;
                assert!(
                    bill.spent <= bill.budget,
                    "script {script} of {seed} cost {} of {} in {} calls, the dearest {}, {} after all was spent: {told}",
                    bill.spent,
                    bill.budget,
                    bill.calls,
                    bill.dearest,
                    bill.late,
                );
                #[expect(clippy::cast_precision_loss, reason = "a budget is far below what a float holds")]
                let budget = bill.budget as f64;
                assert!(shown <= budget + 0.5, "it says that it cost {shown} of {budget}: {told}");
                let why = told["incomplete_details"]["reason"].as_str().or(told["error"]["code"].as_str());
                let why = why.map_or(String::new(), |why| format!(" ({why})"));
                *ended.entry(format!("{}{why}", told["status"].as_str().expect("a status"))).or_default() +=
                    1;
                turns += told["turns_consumed"].as_u64().expect("a number");
            }
        }
        let all = bills.lock().clone();
        let used = all.values().filter(|bill| bill.spent > 0);
        let shares: Vec<u64> = used.map(|bill| bill.spent.saturating_mul(1_000) / bill.budget).collect();
        let most = shares.iter().max().copied().unwrap_or_default();
        let near = shares.iter().filter(|share| **share >= 500).count();
        let calls: u64 = all.values().map(|bill| bill.calls).sum();
        println!(
            "{scripts} scripts, {turns} turns, {calls} calls of the upstream: 0 went beyond their budget; {} spent \
             something, {near} of them half or more, the nearest {}.{} % of it; {ended:?}",
            shares.len(),
            most / 10,
            most % 10,
        );
        // Otherwise nothing was tried.
        assert!(near * 10 > shares.len() && ended.len() > 2, "the scripts were tame");
    });
}
