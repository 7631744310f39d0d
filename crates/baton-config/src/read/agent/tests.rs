use insta::assert_snapshot;

use crate::load::tests::{load_env, load_text};
use crate::{Config, ConfigError};

/// What the files of the seed and others' need beside the agents.
const KEYS: [(&str, &str); 2] = [("OPENAI_API_KEY", "sk-a"), ("ANTHROPIC_API_KEY", "sk-b")];

fn load(text: &str) -> Result<Config, ConfigError> {
    load_env(text, &KEYS)
}

/// The load report, a line for each key.
#[track_caller]
fn report(text: &str) -> String {
    let config = load(text).unwrap_or_else(|error| panic!("{error}"));
    config.agents.report.iter().map(|note| format!("{note}\n")).collect()
}

/// The mistakes of a text, as an operator reads them.
#[track_caller]
fn mistakes(text: &str) -> String {
    load(text).unwrap_err().to_string()
}

/// The agents at a pointer of what is recorded.
#[track_caller]
fn agents(text: &str, pointer: &str) -> String {
    let config = load(text).unwrap_or_else(|error| panic!("{error}"));
    config.document()["agents"]["agents"].pointer(pointer).unwrap().to_string()
}

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../fixtures/agents/", $name, ".yaml"))
    };
}

/// The seed's files say nothing of where their server is.
fn with_server(seed: &str) -> String {
    format!("{seed}\nmcp_servers: {{ duckduckgo: {{ url: \"https://mcp.example.com/mcp\" }} }}\n")
}

#[test]
fn the_first_file_of_the_seed_loads_as_it_is() {
    assert_snapshot!(report(&with_server(fixture!("seed-002-first"))));
}

#[test]
fn the_full_file_of_the_seed_loads_as_it_is() {
    assert_snapshot!(report(&with_server(fixture!("seed-002-full"))));
}

#[test]
fn an_unbound_server_is_named_with_its_key() {
    let said = mistakes(fixture!("seed-002-first"));
    assert!(said.contains("`agents.web_search.toolsets[0].ref`"), "{said}");
    assert!(said.contains("`docker:duckduckgo` is bound to no server"), "{said}");
    assert!(said.contains("add `duckduckgo` to `mcp_servers`"), "{said}");
}

#[test]
fn every_honoured_key_of_an_agent() {
    assert_snapshot!(report(fixture!("01-agent-keys")));
}

#[test]
fn every_other_key_of_an_agent() {
    assert_snapshot!(report(fixture!("02-agent-unsupported")));
}

#[test]
fn every_type_of_toolset() {
    assert_snapshot!(report(fixture!("03-toolset-types")));
}

#[test]
fn every_key_of_a_toolset() {
    assert_snapshot!(report(fixture!("04-toolset-keys")));
}

#[test]
fn models_of_both_shapes() {
    assert_snapshot!(report(fixture!("05-models")));
    let config = load(fixture!("05-models")).unwrap();
    let gpt = config.models.iter().find(|model| model.target.to_string() == "openai/gpt-4o").unwrap();
    assert!(gpt.facts.aliases.iter().any(|alias| alias.as_str() == "precise"));
    assert_eq!(gpt.facts.price.unwrap().output.0, 10_000_000_000);
    assert_eq!(gpt.facts.strengths["prose"], 700_000);
    assert_eq!(
        agents(fixture!("05-models"), "/root/models"),
        r#"[{"name":"precise","settings":{"frequency_penalty":0.1,"max_tokens":4000,"parallel_tool_calls":false,"presence_penalty":0.1,"reasoning_effort":"low","temperature":0,"top_p":0.9}},{"name":"thinker","settings":{}}]"#
    );
}

#[test]
fn every_key_of_the_top_level() {
    assert_snapshot!(report(fixture!("06-top-level")));
}

#[test]
fn teams_that_will_not_work_well_are_warned_of() {
    let warnings = |text| -> String {
        report(text).lines().filter(|line| line.contains("warning")).map(|line| format!("{line}\n")).collect()
    };
    assert_snapshot!("anti_patterns", warnings(fixture!("07-anti-patterns")));
    assert_snapshot!("depth_and_chain", warnings(fixture!("08-depth-and-chain")));
}

#[test]
fn a_route_is_a_pool_with_its_policy() {
    assert_snapshot!(report(fixture!("09-route-and-policy")));
    let config = load(fixture!("09-route-and-policy")).unwrap();
    let root = config.agents.named("root").unwrap();
    assert_eq!(root.policy.reference.name, "thrifty");
    assert_eq!(root.models.len(), 2);
    assert_eq!((root.max_iterations, root.client_tools.as_deref()), (None, Some(&[][..])));
}

#[test]
fn every_step_and_agents_in_the_background() {
    assert_snapshot!(report(fixture!("11-steps-and-background")));
    assert_snapshot!("steps_as_recorded", {
        let shown = load(fixture!("11-steps-and-background")).unwrap().document();
        serde_json::to_string_pretty(&shown["agents"]["agents"]["writer"]["before_handoff"]).unwrap()
    });
    let config = load(fixture!("11-steps-and-background")).unwrap();
    let of = |name: &str| config.agents.named(name).unwrap().clone();
    assert!(of("root").background && !of("writer").background);
    assert_eq!((of("writer").before_handoff.len(), of("writer").on_end.len()), (7, 4));
    assert_eq!(of("root").on_end[0].on_error, crate::OnError::GoOn, "there is nothing to forbid at an end");
}

#[test]
fn what_would_start_a_program_or_leave_the_house_is_refused_by_name() {
    assert_snapshot!(mistakes(fixture!("10-refused")));
}

#[test]
fn purpose_and_routine_are_rendered_once() {
    assert_eq!(
        agents(fixture!("01-agent-keys"), "/root/instruction"),
        r##""# Purpose\n- You coordinate the work\n- You answer what is left\n\n# Routine\n- 1. Find out what is asked\n- 2. Hand it on""##
    );
}

#[test]
fn stand_ins_and_their_limits_make_a_policy_of_the_agents_own() {
    let config = load(fixture!("01-agent-keys")).unwrap();
    let root = config.agents.named("root").unwrap();
    assert_eq!(root.policy.reference.name, "agent.root");
    assert_eq!(root.policy.document.fallback.retries, 1);
    assert_eq!(root.policy.document.fallback.cooldown_ms, 30_000);
    let names: Vec<&str> = root.models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"]);
    assert_eq!(config.agents.named("checker").unwrap().models[0].name.as_str(), "openai/gpt-4o");
}

#[test]
fn what_is_not_there_is_named_as_docker_agent_names_it() {
    let said = |agents: &str| mistakes(&format!("agents:\n{agents}"));
    let a = "  a: { model: openai/gpt-4o, ";
    let check = |rest: &str, expected: &str| {
        let said = said(&format!("{a}{rest} }}\n  bee: {{ model: openai/gpt-4o }}\n"));
        assert!(said.contains(expected), "{said}");
    };
    check("handoffs: [be]", "agent `a` references non-existent handoff agent `be`");
    check("handoffs: [be]", "did you mean `bee`?");
    check("sub_agents: [be]", "agent `a` references non-existent sub-agent `be`");
    check("force_handoff: nobody", "agent `a` references non-existent agent `nobody`");
    check("force_handoff: a", "force_handoff cycle detected involving agent `a`");
    check("handoffs: [a]", "an agent does not hand over to itself");
    check("handoffs: [bee, bee]", "`bee` stands here twice");
    check("handoffs: [{ agent: bee, enabled_if: 'nobody.knows == 1' }]", "enabled_if");
    check("sub_agents: [{ agent: bee, as: handoff }]", "`handoff` means something of its own to agents");
    check("modle: x", "did you mean `model`?");
    check("toolsets: [{ type: filesytem }]", "did you mean `filesystem`?");
}

#[test]
fn forced_hand_overs_that_come_back_are_one_mistake() {
    let text = "agents:\n  a: { model: openai/gpt-4o, force_handoff: b }\n  b: { model: openai/gpt-4o, force_handoff: c }\n  c: { model: openai/gpt-4o, force_handoff: a }\n";
    let said = mistakes(text);
    assert!(said.contains("force_handoff cycle detected involving agent `a`"), "{said}");
    assert!(said.contains("found 1 mistake"), "{said}");
}

#[test]
fn an_agent_without_a_model_is_a_mistake() {
    let error = load_text("agents:\n  a: { description: x }\n").unwrap_err().to_string();
    assert!(error.contains("`model` is missing"), "{error}");
}

#[test]
fn a_budget_is_read_as_money_tokens_and_time() {
    let config = load(fixture!("06-top-level")).unwrap();
    let budget = config.agents.budget;
    assert_eq!(budget.max_cost.unwrap().0, 1_500_000_000);
    assert_eq!((budget.max_tokens, budget.max_time.unwrap().as_secs()), (Some(500_000), 600));
}
