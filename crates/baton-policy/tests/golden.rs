//! Plans that were made once and stay as they are: each version of the planner has a folder of cases.
//!
//! A case is what a decision is made from and what came of it. A change of the planner that changes a
//! plan needs a new version, and a new folder; the cases before it stay, and are planned as they were as
//! long as [`baton_policy::replays`] says so. `BATON_WRITE_GOLDEN=1` writes what the planner of today
//! makes of the cases of its own version.

#![expect(clippy::expect_used, clippy::panic, reason = "a case that cannot be read fails the test")]
#![expect(clippy::disallowed_methods, reason = "the cases are read from their files")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use baton_policy::{
    Actions, Asked, Capabilities, Constraints, Features, HandoffBy, Inputs, Knowledge, Order,
    PLANNER_VERSION, Planned, Policy, PolicyDocument, ProviderPreferences, plan, replays,
};
use serde::{Deserialize, Serialize};

/// Each version that is still replayed has at least so many.
const CASES: [(u32, usize); 3] = [(2, 70), (3, 14), (PLANNER_VERSION, 3)];

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What it shows.
    says: String,
    planner: u32,
    policy: serde_json::Value,
    knowledge: serde_json::Value,
    inputs: serde_json::Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    planned: Option<Planned>,
}

/// A case, read.
#[derive(Clone)]
struct Made {
    document: PolicyDocument,
    knowledge: Knowledge,
    inputs: Inputs,
}

impl Case {
    /// What today's planner makes of it, if it is the one that made it.
    fn replay(&self) -> Result<Planned, String> {
        if !replays(self.planner) {
            return Err(format!("not replayable: planner {}", self.planner));
        }
        Ok(self.made()?.plan())
    }

    fn made(&self) -> Result<Made, String> {
        fn read<T: for<'de> Deserialize<'de>>(name: &str, value: &serde_json::Value) -> Result<T, String> {
            T::deserialize(value).map_err(|error| format!("{name}: {error}"))
        }
        Ok(Made {
            document: read("policy", &self.policy)?,
            knowledge: read("knowledge", &self.knowledge)?,
            inputs: read("inputs", &self.inputs)?,
        })
    }
}

impl Made {
    fn plan(&self) -> Planned {
        let mut inputs = self.inputs.clone();
        for candidate in &mut inputs.candidates {
            candidate.facts = self.knowledge.models.get(&candidate.target).cloned().unwrap_or_default();
        }
        let policy = Policy::new(inputs.policy.clone(), self.document.clone()).expect("rules that compile");
        plan(&policy, &self.knowledge, &inputs)
    }
}

#[test]
fn every_case_is_planned_as_it_was() {
    let write = std::env::var_os("BATON_WRITE_GOLDEN").is_some();
    let mut differ = Vec::new();
    let mut replayed = BTreeMap::<u32, usize>::new();
    for (path, mut case) in cases() {
        let name = path.display();
        let planned = match case.replay() {
            Ok(planned) => planned,
            Err(why) => {
                assert_eq!(why, format!("not replayable: planner {}", case.planner), "{name}");
                assert!(case.planner < PLANNER_VERSION, "{name}: a planner to come");
                continue;
            }
        };
        *replayed.entry(case.planner).or_default() += 1;
        if write && case.planner == PLANNER_VERSION {
            case.planned = Some(planned);
            let text = serde_json::to_string_pretty(&case).expect("a case is JSON") + "\n";
            std::fs::write(&path, text).expect("writing a case");
        } else if case.planned.as_ref() != Some(&planned) {
            differ.push(format!("{name}\nwas {:#?}\nis {planned:#?}", case.planned));
        }
    }
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n\n"));
    for (planner, fewest) in CASES {
        let count = replayed.get(&planner).copied().unwrap_or_default();
        assert!(count >= fewest, "{count} cases of planner {planner}, expected {fewest}");
    }
}

#[test]
fn a_case_of_another_planner_is_not_guessed_at() {
    let (_, mut case) = cases().remove(0);
    case.planner = PLANNER_VERSION + 1;
    assert_eq!(case.replay(), Err(format!("not replayable: planner {}", PLANNER_VERSION + 1)));
}

#[test]
fn a_folder_has_cases_of_its_own_planner_only() {
    for (path, case) in cases() {
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
        assert_eq!(folder.to_string_lossy(), format!("v{}", case.planner), "{}", path.display());
    }
}

/// Takes from a decision what one part of the planner looks at: without that part the plan would be
/// the same as with it.
type Blinding = fn(&mut Made);

/// Every part of the planner, by stage.
const PARTS: &[(&str, Blinding)] = &[
    ("capability: what models can do", |it| facts(it, |facts| facts.capabilities = Capabilities::default())),
    ("capability: window", |it| facts(it, |facts| facts.capabilities.context_window = None)),
    ("capability: output", |it| facts(it, |facts| facts.capabilities.max_output_tokens = None)),
    ("capability: an output that is lowered", |it| it.inputs.features.lowers_output = false),
    ("capability: vision", |it| facts(it, |facts| facts.capabilities.vision = None)),
    ("capability: audio", |it| facts(it, |facts| facts.capabilities.audio = None)),
    ("capability: tools", |it| it.inputs.features.tools = 0),
    ("capability: structured output", |it| facts(it, |facts| facts.capabilities.structured_output = None)),
    ("capability: a schema by a tool", |it| it.inputs.features.schema_by_tool = false),
    ("capability: a schema by a tool, where there are tools", |it| {
        facts(it, |facts| facts.capabilities.tools = None);
    }),
    ("capability: log probabilities", |it| facts(it, |facts| facts.capabilities.logprobs = None)),
    ("capability: reasoning", |it| facts(it, |facts| facts.capabilities.reasoning = None)),
    ("capability: strict parameters", |it| {
        it.inputs.candidates.iter_mut().for_each(|it| it.not_carried.clear());
    }),
    ("allow: key", |it| it.inputs.key_models = None),
    ("allow: providers", |it| it.inputs.providers = ProviderPreferences::default()),
    ("allow: only", |it| it.inputs.providers.only = None),
    ("allow: ignore", |it| it.inputs.providers.ignore.clear()),
    ("allow: no fallbacks", |it| it.inputs.providers.allow_fallbacks = None),
    ("allow: listed twice", |it| {
        for (at, candidate) in it.inputs.candidates.iter_mut().enumerate() {
            let facts = it.knowledge.models.get(&candidate.target).cloned().unwrap_or_default();
            candidate.target.model = format!("{}-{at}", candidate.target.model).parse().expect("a name");
            it.knowledge.models.insert(candidate.target.clone(), facts);
        }
    }),
    ("health", |it| it.inputs.candidates.iter_mut().for_each(|it| it.health.down = None)),
    ("health: how long", |it| {
        let downs = it.inputs.candidates.iter_mut().filter_map(|it| it.health.down.as_mut());
        downs.for_each(|down| down.for_ms = 1);
    }),
    ("constraints", |it| constraints(it, |limits| *limits = Constraints::default())),
    ("constraints: of the client", |it| it.inputs.wishes.constraints = Constraints::default()),
    ("constraints: cost", |it| constraints(it, |limits| limits.max_cost = None)),
    ("constraints: input price", |it| constraints(it, |limits| limits.max_input_price = None)),
    ("constraints: output price", |it| constraints(it, |limits| limits.max_output_price = None)),
    ("constraints: latency", |it| constraints(it, |limits| limits.max_latency_ms = None)),
    ("constraints: needs", |it| constraints(it, |limits| limits.capabilities.clear())),
    ("rules", |it| it.document.rules.clear()),
    ("rules: context", |it| it.inputs.context = None),
    ("rules: use", |it| actions(it, |then| then.use_models.clear())),
    ("rules: prefer", |it| actions(it, |then| then.prefer.clear())),
    ("rules: avoid", |it| actions(it, |then| then.avoid.clear())),
    ("rules: allow", |it| actions(it, |then| then.allow_models.clear())),
    ("rules: refuse", |it| actions(it, |then| then.refuse = None)),
    ("rules: stop", |it| actions(it, |then| then.stop = false)),
    ("rules: hand over", |it| actions(it, |then| then.handoff_to = None)),
    ("hand-over: that it is asked for", |it| {
        it.inputs.run.iter_mut().for_each(|run| run.asked = None);
    }),
    ("hand-over: to whom", |it| asked(it, |asked| asked.to = 0)),
    ("hand-over: from whom", |it| asked(it, |asked| asked.from = asked.to)),
    ("hand-over: who asks", |it| asked(it, |asked| asked.by = HandoffBy::Model)),
    ("between turns", |it| it.inputs.run = None),
    ("between turns: which", |it| it.inputs.run.iter_mut().for_each(|run| run.turn = 1)),
    ("between turns: how many hand-overs", |it| {
        it.inputs.run.iter_mut().for_each(|run| run.handoffs = 0);
    }),
    ("between turns: tools", |it| it.inputs.run.iter_mut().for_each(|run| run.tools_done = false)),
    ("rules: only for a rule", |it| it.inputs.candidates.iter_mut().for_each(|it| it.by_rule = false)),
    ("order: of the providers", |it| it.inputs.providers.order.clear()),
    ("order: whose it is", |it| it.document.client_order = !it.document.client_order),
    ("order: ordered", |it| it.inputs.candidates.reverse()),
    ("order: weighted", |it| without(it, Order::Weighted)),
    ("order: cheapest", |it| without(it, Order::Cheapest)),
    ("order: fastest", |it| without(it, Order::Fastest)),
    ("order: balanced", |it| without(it, Order::Balanced)),
    ("order: attributes", |it| it.inputs.wishes.attributes.clear()),
    ("order: strengths", |it| without(it, Order::Strengths)),
    ("order: auto", |it| without(it, Order::Auto)),
    ("order: judge", |it| without(it, Order::Judge)),
    ("order: lots", |it| it.inputs.random = 5),
    ("order: weights", |it| it.document.weights.clear()),
    ("order: prices", |it| facts(it, |facts| facts.price = None)),
    ("order: cached price", |it| {
        facts(it, |facts| facts.price.iter_mut().for_each(|price| price.cached_input = None));
    }),
    ("order: length of the answer", |it| {
        it.inputs.features.max_output_tokens = None;
        it.inputs.features.task.iter_mut().for_each(|task| task.asked_tokens = None);
    }),
    ("order: latency", |it| it.inputs.candidates.iter_mut().for_each(|it| it.health.latency = None)),
    ("order: samples", |it| {
        let known = it.inputs.candidates.iter_mut().filter_map(|it| it.health.latency.as_mut());
        known.for_each(|latency| latency.samples = 7);
    }),
    ("order: headroom", |it| it.inputs.candidates.iter_mut().for_each(|it| it.health.headroom = None)),
    ("order: balance", |it| it.document.balance = baton_policy::Balance::default()),
    ("order: offers of the client", |it| it.inputs.wishes.model_attributes.clear()),
    ("order: offers of the models", |it| facts(it, |facts| facts.attributes.clear())),
    ("order: strengths of the models", |it| facts(it, |facts| facts.strengths.clear())),
    ("order: strengths of the kinds", |it| it.knowledge.task_strengths.clear()),
    ("order: declared kind", |it| it.inputs.features.declared_task = None),
    ("order: kind as read", |it| it.inputs.features.task = None),
    ("order: scores", |it| it.inputs.candidates.iter_mut().for_each(|it| it.quality = None)),
    ("order: what the judge said", |it| it.inputs.judged = None),
    ("order: who the judge is", |it| it.document.judge = None),
    ("stickiness", |it| it.inputs.current = None),
    ("stickiness: margin", |it| it.document.switch_margin = 0),
    ("stickiness: prompt cache", |it| it.inputs.current.iter_mut().for_each(|it| it.cached_tokens = 0)),
    ("names: aliases", |it| facts(it, |facts| facts.aliases.clear())),
    ("names: what is passed through", |it| it.inputs.passes = None),
    ("features", |it| it.inputs.features = Features::default()),
];

#[test]
fn no_part_of_the_planner_is_unguarded() {
    let made: Vec<(PathBuf, Made)> = cases()
        .into_iter()
        .filter(|(_, case)| replays(case.planner))
        .map(|(path, case)| (path, case.made().expect("a case")))
        .collect();
    let unguarded: Vec<&str> = PARTS
        .iter()
        .filter(|(_, blind)| {
            !made.iter().any(|(_, made)| {
                let mut blinded = made.clone();
                blind(&mut blinded);
                outcome(&blinded) != outcome(made)
            })
        })
        .map(|(part, _)| *part)
        .collect();
    assert!(unguarded.is_empty(), "no case depends on {unguarded:?}");
}

#[test]
fn every_word_that_a_plan_can_say_is_in_a_case() {
    let mut said = BTreeSet::new();
    for (_, case) in cases().into_iter().filter(|(_, case)| replays(case.planner)) {
        let planned = serde_json::to_value(&case.planned).expect("JSON");
        collect_codes(&planned, &mut said);
    }
    let missing: Vec<&str> = CODES.iter().copied().filter(|code| !said.contains(*code)).collect();
    assert!(missing.is_empty(), "no case says {missing:?}");
}

/// The reason codes of `plan()`; the others belong to what follows a failure, or to a judge's call.
const CODES: [&str; 58] = [
    "only_model",
    "first_in_order",
    "provider_order",
    "named_provider",
    "first_eligible",
    "listed_twice",
    "key_not_allowed",
    "provider_not_in_only",
    "provider_ignored",
    "fallback_not_allowed",
    "window_too_small",
    "output_limit_too_small",
    "no_vision",
    "no_audio",
    "no_tools",
    "no_structured_output",
    "no_logprobs",
    "no_reasoning",
    "unsupported_parameter",
    "breaker_open",
    "probe_taken",
    "cooling_down",
    "no_headroom",
    "no_credential",
    "drained",
    "disabled",
    "capability_missing",
    "strength_too_low",
    "price_unknown",
    "cost_too_high",
    "price_too_high",
    "too_slow",
    "not_in_rule",
    "not_asked_for",
    "refused_by_rule",
    "stopped_by_rule",
    "zero_weight",
    "chosen_by_rule",
    "drawn_by_weight",
    "cheapest",
    "fastest",
    "exploring",
    "best_balance",
    "best_attributes",
    "best_strengths",
    "best_expected",
    "judged",
    "stays",
    "last_resort",
    "exhausted",
    "handed_over",
    "handoff_by_rule",
    "handoff_forced",
    "handoff_denied",
    "target_unavailable",
    "has_conversation",
    "not_handed_to",
    // A question, not a code: asked of a judge.
    "ask",
];

/// The values of `code`, and what kind of plan it is.
fn collect_codes(value: &serde_json::Value, said: &mut BTreeSet<String>) {
    if let serde_json::Value::Object(members) = value {
        said.extend(members.contains_key("ask").then(|| "ask".to_owned()));
        said.extend(members.get("code").and_then(|code| code.as_str()).map(str::to_owned));
        members.values().for_each(|member| collect_codes(member, said));
    } else if let serde_json::Value::Array(entries) = value {
        entries.iter().for_each(|entry| collect_codes(entry, said));
    }
}

/// Verdicts, order and reason by name, so that a change of places alone is none.
fn outcome(made: &Made) -> String {
    match made.plan() {
        Planned::Ask(question) => format!("{question:?}"),
        Planned::Plan(plan) => {
            let names: Vec<String> = made.inputs.candidates.iter().map(|it| it.model.to_string()).collect();
            let by_name = |at: u32| names.get(usize::try_from(at).unwrap_or(usize::MAX)).cloned();
            let order: Vec<_> = plan.order.iter().map(|at| by_name(*at)).collect();
            let mut rows: Vec<_> = plan
                .table
                .iter()
                .map(|row| format!("{:?} {:?}", by_name(row.candidate), row.verdict))
                .collect();
            rows.sort();
            format!("{order:?} {rows:?} {:?} {} {}", plan.reason.code, plan.stays, plan.last_resort)
        }
    }
}

fn facts(made: &mut Made, change: impl Fn(&mut baton_policy::Facts)) {
    for known in made.knowledge.models.values_mut() {
        change(std::sync::Arc::make_mut(known));
    }
}

fn constraints(made: &mut Made, change: impl Fn(&mut Constraints)) {
    change(&mut made.document.constraints);
    change(&mut made.inputs.wishes.constraints);
}

fn actions(made: &mut Made, change: impl Fn(&mut Actions)) {
    for rule in &mut made.document.rules {
        change(&mut rule.then);
    }
}

fn asked(made: &mut Made, change: impl Fn(&mut Asked)) {
    made.inputs.run.iter_mut().filter_map(|run| run.asked.as_mut()).for_each(change);
}

fn without(made: &mut Made, order: Order) {
    made.document.order.retain(|it| *it != order);
    made.inputs.wishes.order.retain(|it| *it != order);
}

/// Every case of every version, by path.
fn cases() -> Vec<(PathBuf, Case)> {
    let files = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).expect("a folder of cases");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<PathBuf> = files(&root).iter().flat_map(|version| files(version)).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a file");
        let case = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, case)
    };
    paths.into_iter().map(read).collect()
}
