//! Docker Agent: hand-overs, tasks, tasks in the background, and what is refused.

use baton_testkit::fake::{Fault, Step};
use serde_json::json;

use crate::blackbox::agents::handed::SUPPORT;
use crate::blackbox::agents::{
    WAYS, ask, asked_of, background, handoff, offered_to, one, plot, stage, task, text_of,
};
use crate::blackbox::handoff::{calls, replays, saw, says, says_and_calls, tools_of};
use crate::blackbox::mcp::server::Mcp;
use crate::blackbox::support::{Home, baton, run};

pub(super) const BOSS: &str = "
agents:
  root:
    model: '{p}/fake-root'
    instruction: You are the boss.
    sub_agents: [finder, { agent: billing, as: check_billing, description: Checks accounts }]
  finder:
    model: '{p}/fake-finder'
    description: Finds things out
    instruction: You find things out.
    sub_agents: [root, deep]
  billing: { model: '{p}/fake-billing', description: Billing }
  deep: { model: '{p}/fake-deep', description: Digs deeper, sub_agents: [deeper] }
  deeper: { model: '{p}/fake-deeper', description: Digs deeper still, sub_agents: [deepest] }
  deepest: { model: '{p}/fake-deepest', description: The last one }
";

/// S2-1: a bounded cycle.
#[test]
fn s2_1_the_first_file_of_the_seed_goes_round_and_ends() {
    const SEED: &str = include_str!("../../crates/baton-config/fixtures/agents/seed-002-first.yaml");
    run(async {
        let turns = vec![
            one(handoff("web_search", "to be looked up")),
            one(handoff("summarizer", "found")),
            one(handoff("root", "summed up")),
            says("That is all."),
        ];
        let seed = SEED
            .replacen("anthropic/claude-sonnet-4-5", "oai/fake-root", 1)
            .replace("anthropic/claude-sonnet-4-5", "oai/fake-summarizer")
            .replace("openai/gpt-4o", "oai/fake-web");
        let config = format!("{seed}\nmcp_servers: {{ duckduckgo: {{ url: 'http://127.0.0.1:9/mcp' }} }}\n");
        let fixture = stage(&config, "oai", turns).await;
        let (answer, said) = ask(&fixture, WAYS[0], "root", "find it").await;
        assert_eq!(said.text, "That is all.");
        assert_eq!(
            plot(&fixture, &answer).await,
            [
                "select only_model -->root",
                "handoff handed_over root->web_search",
                "handoff handed_over web_search->summarizer",
                "handoff handed_over summarizer->root",
            ]
        );
        let errors = answer.json()["mcp_server_errors"].to_string();
        assert!(errors.contains("duckduckgo"), "a server that is away is told of: {errors}");
        assert_eq!(tools_of(&saw(&fixture, "oai/fake-root")[0]), ["handoff"]);
    });
}

/// S2-2: the full file of the seed, its server bound and its folder given; what the tools say is in the next request.
#[test]
fn s2_2_the_full_file_of_the_seed_searches_the_web_and_the_files() {
    const SEED: &str = include_str!("../../crates/baton-config/fixtures/agents/seed-002-full.yaml");
    run(async {
        let mcp = Mcp::start().await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("notes.txt"), "password: hunter2").unwrap();
        let roots = format!("      - type: filesystem\n        roots: ['{}']", folder.path().display());
        let seed = SEED
            .replacen("anthropic/claude-sonnet-4-5", "{p}/fake-root", 1)
            .replace("anthropic/claude-sonnet-4-5", "{p}/fake-summarizer")
            .replacen("openai/gpt-4o\n", "{p}/fake-web\n", 1)
            .replacen("openai/gpt-4o\n", "{p}/fake-files\n", 1)
            .replacen("openai/gpt-4o-mini", "{p}/fake-redactor", 1)
            .replacen("openai/gpt-4o-mini", "{p}/fake-tabulator", 1)
            .replace("      - type: filesystem", &roots);
        let config = format!("{seed}\nmcp_servers: {{ duckduckgo: {{ url: '{}' }} }}\n", mcp.url());
        for (provider, way) in ["oai", "ant"].into_iter().flat_map(|it| WAYS.map(|way| (it, way))) {
            let search = ("duckduckgo__query".to_owned(), json!({"q": "cats"}));
            let web = vec![
                one(handoff("web_search", "r")),
                one(search),
                one(handoff("summarizer", "r")),
                says("Cats are found."),
            ];
            let fixture = stage(&config, provider, web).await;
            let (answer, said) = ask(&fixture, way, "root", "cats?").await;
            assert_eq!(said.text, "Cats are found.", "{}", answer.text());
            assert_eq!(offered_to(&fixture, provider, "web"), ["duckduckgo__query", "handoff"]);
            assert!(asked_of(&fixture, provider, "web")[1].to_string().contains("found: cats"));
            assert_eq!(offered_to(&fixture, provider, "summarizer"), ["handoff"], "each has its own tools");

            let read = ("filesystem__read_file".to_owned(), json!({"path": "notes.txt"}));
            let escape = ("filesystem__read_file".to_owned(), json!({"path": "../../etc/passwd"}));
            let write = ("filesystem__write_file".to_owned(), json!({"path": "a", "content": "b"}));
            let files = vec![
                one(handoff("filesystem_search", "r")),
                calls(vec![read, escape]),
                one(write),
                one(handoff("redactor", "r")),
                one(handoff("tabulator", "r")),
                one(handoff("summarizer", "r")),
                says("It is [REDACTED]."),
            ];
            let fixture = stage(&config, provider, files).await;
            let (answer, said) = ask(&fixture, way, "root", "the notes?").await;
            assert_eq!(said.text, "It is [REDACTED].", "{}", answer.text());
            let seen = asked_of(&fixture, provider, "files");
            assert!(seen[1].to_string().contains("password: hunter2"), "{}", seen[1]);
            assert!(seen[1].to_string().contains("not below one of the folders"), "{}", seen[1]);
            assert!(seen[2].to_string().contains("there is no tool `filesystem__write_file`"), "{}", seen[2]);
            assert!(!folder.path().join("a").exists());
        }
    });
}

/// S2-3: a target outside the list is an error that names the valid ones, and the run goes on.
#[test]
fn s2_3_a_target_outside_the_list_is_an_error_with_the_valid_ids() {
    run(async {
        for provider in ["oai", "ant"] {
            for way in WAYS {
                let turns = vec![one(handoff("sales", "r")), one(handoff("Billing", "r")), says("Myself.")];
                let fixture = stage(SUPPORT, provider, turns).await;
                let (answer, said) = ask(&fixture, way, "triage", "hi").await;
                assert_eq!(said.text, "Myself.", "{}", answer.text());
                let triage = asked_of(&fixture, provider, "triage");
                for seen in &triage[1..] {
                    let told = "Agent triage cannot hand off to that target: it is not in its handoffs list. \
                                Available agent IDs are: billing, tech";
                    assert!(seen.to_string().contains(told), "{seen}");
                }
                assert!(asked_of(&fixture, provider, "sales").is_empty());
                assert_eq!(
                    plot(&fixture, &answer).await[1..],
                    ["stay handoff_denied -->triage", "stay handoff_denied -->triage"]
                );
            }
        }
    });
}

/// S2-4: the child sees the task and nothing else; its answer is the call's result; the parent goes on.
#[test]
fn s2_4_a_task_is_done_apart_and_its_answer_comes_back() {
    run(async {
        for provider in ["oai", "ant"] {
            for way in WAYS {
                let turns = vec![
                    says_and_calls("I ask.", vec![task("finder", "When was it built?")]),
                    says("In 1889, quietly."),
                    says("It was built in 1889."),
                ];
                let fixture = stage(BOSS, provider, turns).await;
                let (answer, said) = ask(&fixture, way, "root", "Tell me of the tower of Paris").await;
                let case = format!("{provider} {way:?} {}", answer.text());
                assert_eq!(text_of(&said), "I ask.It was built in 1889.", "{case}");
                assert!(!answer.text().contains("quietly"), "a task is out of the client's sight: {case}");
                let child = asked_of(&fixture, provider, "finder")[0].to_string();
                assert!(
                    child.contains("When was it built?") && child.contains("Expected output: a line"),
                    "{child}"
                );
                assert!(child.contains("You find things out."), "{child}");
                assert!(!child.contains("Paris") && !child.contains("the boss"), "{case}: {child}");
                let parent = asked_of(&fixture, provider, "root")[1].to_string();
                assert!(parent.contains("In 1889, quietly."), "{case}: {parent}");
                assert_eq!(
                    plot(&fixture, &answer).await,
                    [
                        "select only_model -->root",
                        "delegate delegated root->finder",
                        "return returned finder->root",
                    ],
                    "{case}"
                );
                replays(&fixture, 2).await;
            }
        }
    });
}

/// S2-4's limits: no cycle, and no more than four levels.
#[test]
fn s2_4_a_cycle_and_a_fifth_level_are_errors_for_the_model() {
    run(async {
        let turns = vec![
            one(task("finder", "a")),
            one(task("root", "b")),
            one(task("deep", "c")),
            one(task("deeper", "d")),
            one(task("deepest", "e")),
            says("From deeper."),
            says("From deep."),
            says("From finder."),
            says("From root."),
        ];
        let fixture = stage(BOSS, "oai", turns).await;
        let (answer, said) = ask(&fixture, WAYS[1], "root", "go").await;
        assert_eq!(said.text, "From root.", "{}", answer.text());
        let finder = asked_of(&fixture, "oai", "finder");
        assert!(finder[1].to_string().contains("delegation cycle detected: root -> finder -> root"));
        let deeper = asked_of(&fixture, "oai", "deeper");
        assert!(deeper[1].to_string().contains("too many agents wait for each other"), "{}", deeper[1]);
        assert!(asked_of(&fixture, "oai", "deepest").is_empty());
        let plot = plot(&fixture, &answer).await;
        assert!(plot.iter().any(|line| line == "stay max_depth -->deeper"), "{plot:?}");
    });
}

/// S2-5: the caller's next turns are taken while a child still works; it is listed, viewed and stopped.
#[test]
fn s2_5_the_caller_goes_on_while_a_child_works() {
    run(async {
        for way in WAYS {
            let root = vec![
                one(background::begun("finder", "Look it up")),
                one(background::view("task_1")),
                one(("list_background_agents".to_owned(), json!({}))),
                one(("stop_background_agent".to_owned(), json!({ "task_id": "task_1" }))),
                one(background::wait(&["task_1"], 60)),
                says("I went on."),
            ];
            let fixture = background::stage(root, vec![Step::Fault(Fault::HeaderStall)]).await;
            let (answer, said) = ask(&fixture, way, "root", "go").await;
            assert_eq!(said.text, "I went on.", "{way:?} {}", answer.text());
            assert!(said.calls.is_empty(), "{way:?}");
            let root = asked_of(&fixture, "oai", "root");
            let told = |turn: usize, part: &str| {
                let seen = root[turn].to_string().replace('\\', "");
                assert!(seen.contains(part), "{way:?} {turn} {part}: {seen}");
            };
            told(1, r#"{"agent":"finder","status":"running","task_id":"task_1"}"#);
            told(2, r#"{"agent":"finder","status":"running","task_id":"task_1"}"#);
            told(3, r#"[{"agent":"finder","status":"running","task_id":"task_1"}]"#);
            told(5, r#"[{"agent":"finder","status":"stopped","task_id":"task_1"}]"#);
            assert_eq!(
                offered_to(&fixture, "oai", "root"),
                [
                    "run_background_agent",
                    "list_background_agents",
                    "view_background_agent",
                    "stop_background_agent",
                    "wait_background_agents",
                    "transfer_task",
                ]
            );
            let told = plot(&fixture, &answer).await;
            assert!(told.contains(&"delegate delegated root->finder".to_owned()), "{told:?}");
        }
    });
}

/// S2-6: an agent elsewhere is refused by name.
#[test]
fn s2_6_agents_elsewhere_are_refused_by_name() {
    run(async {
        for elsewhere in ["'https://agents.example.com'", "'agentcatalog/helper'"] {
            for key in ["handoffs", "sub_agents"] {
                let home =
                    Home::new(&format!("agents:\n  a: {{ model: echo/hello, {key}: [{elsewhere}] }}\n"));
                let output = baton(&home, &["check"]).await.expect(1);
                assert!(output.err.contains("A2A") && output.err.contains("agents.a"), "{}", output.err);
            }
        }
        let home = Home::new(
            "agents:\n  a: { model: echo/hello, toolsets: [{ type: a2a, url: 'https://x.example' }] }\n",
        );
        let output = baton(&home, &["check"]).await.expect(1);
        assert!(output.err.contains("agents.a.toolsets[0].type"), "{}", output.err);
    });
}
