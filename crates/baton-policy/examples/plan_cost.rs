//! Runs one part of deciding often enough for an instruction counter, and says what CPU time it takes.
//!
//! `plan_cost MODE ROUNDS` runs it so often; two runs under `valgrind --tool=callgrind` with different
//! rounds tell what one round costs. `plan_cost MODE ROUNDS time` prints the least CPU time of a round in
//! nanoseconds, over several batches. `cargo xtask bench plan` does both.

#![expect(clippy::print_stdout, reason = "a command-line program talks to its terminal")]
#![expect(clippy::disallowed_methods, reason = "the CPU time is read from the system, not by the crate")]

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;

use baton_model::{ModelName, NanoUsd, Price};
use baton_policy::{
    Actions, Candidate, Capabilities, Constraints, Context, Facts, Features, Health, Inputs, Knowledge,
    Latency, Order, Planned, Policy, PolicyDocument, PolicyRef, Rule, RuleSet, Scorer, Shape, TaskKind,
    estimate_tokens, plan, read_task,
};

const USAGE: &str = "usage: plan_cost plan-20-10|plan-1000|rules-10|features-100k|scorer-1k ROUNDS [time]";

/// So many batches are timed; the quickest counts.
const BATCHES: u32 = 15;

/// Nine that do not hold, as operators write them, and one that does.
const RULES: [&str; 10] = [
    "task.kind == 'code' && request.tools > 4",
    "request.input_tokens > 200000",
    "request.images && request.audio",
    "'vip' in request.tags && time.hour < 6",
    "context.tier == 'gold' && turn.number > 3",
    "key.id.startsWith('batch_')",
    "request.candidates.exists(name, name == 'local/llama')",
    "time.weekday >= 6 && request.max_output_tokens != null",
    "task.complexity == 'complex' || request.structured_output",
    "request.stream && task.kind in ['writing', 'chat', 'quick_answer']",
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mode, rounds, timed) = match arguments.as_slice() {
        [mode, rounds] => (mode.as_str(), rounds.parse::<u32>()?, false),
        [mode, rounds, time] if time == "time" => (mode.as_str(), rounds.parse::<u32>()?, true),
        _ => return Err(USAGE.into()),
    };
    let mut round = round(mode)?;
    // Tables are built at their first use, once in the life of a gateway.
    let mut sum = round();
    let mut run = || (0..rounds).for_each(|_| sum = sum.wrapping_add(round()));
    if timed {
        let mut least = u64::MAX;
        for _ in 0..BATCHES {
            let before = cpu_nanos()?;
            run();
            least = least.min(cpu_nanos()?.saturating_sub(before) / u64::from(rounds.max(1)));
        }
        println!("{least}");
    } else {
        run();
        println!("sum {sum}");
    }
    Ok(())
}

/// What is measured; its number keeps the work from being removed.
fn round(mode: &str) -> Result<Box<dyn FnMut() -> u64>, Box<dyn Error>> {
    Ok(match mode {
        "plan-20-10" => plans(20)?,
        "plan-1000" => plans(1_000)?,
        "rules-10" => {
            let (rules, inputs) =
                (RuleSet::compile(&rules()).map_err(|mistakes| format!("{mistakes:?}"))?, inputs(20)?);
            Box::new(move || rules.first_match(black_box(&inputs)).map_or(0, |at| u64::from(at == 9)))
        }
        "features-100k" => {
            let prose = "The committee met on Tuesday, 14 May, and heard that costs had risen by 12 % since \
                         the last report; nobody could say why, and two members asked for the figures.\n";
            let parts: Vec<String> = (0..10).map(|_| prose.repeat(10 * 1024 / prose.len())).collect();
            Box::new(move || {
                let parts = black_box(&parts);
                let input_tokens = parts.iter().map(|part| estimate_tokens(part.as_bytes())).sum();
                let shape = Shape { messages: 10, input_tokens, ..Shape::default() };
                let reading = read_task(parts.last().map_or("", String::as_str), &shape);
                input_tokens + u64::from(reading.confidence)
            })
        }
        "scorer-1k" => {
            let text =
                "Please rewrite this paragraph so that it is shorter and kinder, and keep the numbers. "
                    .repeat(12);
            let scorer = Scorer::built_in();
            let models: Vec<u16> = scorer.models().filter_map(|name| scorer.index(name)).collect();
            Box::new(move || {
                let scores = scorer.score_for(black_box(&text), Some(TaskKind::Writing), black_box(&models));
                scores.iter().copied().map(u64::from).sum()
            })
        }
        _ => return Err(USAGE.into()),
    })
}

fn plans(candidates: u32) -> Result<Box<dyn FnMut() -> u64>, Box<dyn Error>> {
    let document = PolicyDocument {
        order: vec![Order::Cheapest],
        rules: rules(),
        constraints: Constraints { max_cost: Some(NanoUsd(20_000_000)), ..Constraints::default() },
        ..PolicyDocument::default()
    };
    let policy = Policy::new(PolicyRef::default(), document).map_err(|mistakes| format!("{mistakes:?}"))?;
    let (knowledge, inputs) = (Knowledge::default(), inputs(candidates)?);
    Ok(Box::new(move || match plan(&policy, &knowledge, black_box(&inputs)) {
        Planned::Plan(plan) => plan.order.iter().copied().map(u64::from).sum(),
        Planned::Ask(_) => 0,
    }))
}

fn rules() -> Vec<Rule> {
    let prefer: Vec<ModelName> =
        ["p7/model-7", "p3/model-3"].iter().filter_map(|it| it.parse().ok()).collect();
    let rule = |(at, when): (usize, &&str)| Rule {
        name: format!("rule {at}"),
        when: (**when).to_owned(),
        then: Actions { prefer: prefer.clone(), ..Actions::default() },
    };
    RULES.iter().enumerate().map(rule).collect()
}

fn inputs(candidates: u32) -> Result<Inputs, Box<dyn Error>> {
    let candidate = |at: u32| -> Result<Candidate, Box<dyn Error>> {
        let name = format!("p{}/model-{at}", at % 20);
        let price = u64::from(at % 7 + 1) * 150_000_000;
        let facts = Facts {
            aliases: vec![format!("model-{at}").parse()?],
            capabilities: Capabilities {
                context_window: Some(128_000),
                tools: Some(true),
                ..Capabilities::default()
            },
            price: Some(Price {
                input: NanoUsd(price),
                output: NanoUsd(4 * price),
                cached_input: Some(NanoUsd(price / 2)),
                cache_write: None,
                cache_write_1h: None,
            }),
            ..Facts::default()
        };
        Ok(Candidate {
            facts: Arc::new(facts),
            health: Health {
                latency: Some(Latency { p50_ms: 400, p95_ms: 1_500, samples: 80 }),
                ..Health::default()
            },
            ..Candidate::named(name.parse()?, name.parse()?)
        })
    };
    let shape = Shape { messages: 3, input_tokens: 1_200, ..Shape::default() };
    Ok(Inputs {
        features: Features {
            input_tokens: 1_200,
            tools: 2,
            messages: 3,
            stream: true,
            declared_task: Some(baton_policy::DeclaredTask::Kind(TaskKind::Writing)),
            task: Some(Box::new(read_task("Please write a short letter to our landlord.", &shape))),
            ..Features::default()
        },
        candidates: (0..candidates).map(candidate).collect::<Result<_, _>>()?,
        context: Some(Box::new(Context {
            surface: "/v1/chat/completions".to_owned(),
            key: "key_1".to_owned(),
            tags: vec!["beta".to_owned()],
            variables: BTreeMap::new(),
            turn: 1,
            unix_seconds: 1_700_000_000,
        })),
        ..Inputs::default()
    })
}

/// The CPU time of this thread so far.
fn cpu_nanos() -> Result<u64, Box<dyn Error>> {
    // The system counts up to the last switch: this makes one.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split_ascii_whitespace().next().ok_or("no CPU time in schedstat")?;
    Ok(nanos.parse()?)
}
