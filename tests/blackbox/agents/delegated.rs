//! Tasks that agents give each other, and the tools that the gateway runs for them.

use serde_json::json;

use super::{WAYS, ask, asked_of, handoff, offered_to, one, plot, stage, task, text_of};
use crate::blackbox::handoff::{calls, replays, says, says_and_calls};
use crate::blackbox::mcp::server::Mcp;
use crate::blackbox::support::run;

const BOSS: &str = "
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

/// S4-5: an agent as a tool of its own name; the parent stays in control.
#[test]
fn s4_5_an_agent_is_a_tool_of_another() {
    run(async {
        for way in WAYS {
            let check = ("check_billing".to_owned(), json!({"task": "Is account 7 paid?"}));
            let turns = vec![
                calls(vec![check, task("finder", "Who owns it?")]),
                says("It is paid."),
                says("Ann owns it."),
                says("Ann has paid."),
            ];
            let fixture = stage(BOSS, "oai", turns).await;
            let (answer, said) = ask(&fixture, way, "root", "Account 7?").await;
            assert_eq!(said.text, "Ann has paid.", "{}", answer.text());
            assert_eq!(offered_to(&fixture, "oai", "root"), ["transfer_task", "check_billing"]);
            let parent = asked_of(&fixture, "oai", "root")[1].to_string();
            assert!(parent.contains("It is paid.") && parent.contains("Ann owns it."), "{parent}");
            assert_eq!(
                plot(&fixture, &answer).await[1..],
                [
                    "delegate delegated root->billing",
                    "return returned billing->root",
                    "delegate delegated root->finder",
                    "return returned finder->root",
                ]
            );
        }
    });
}

/// S2-2: the full file of the seed, its server bound and its folder given; what the tools say is in the next request.
#[test]
fn s2_2_the_full_file_of_the_seed_searches_the_web_and_the_files() {
    const SEED: &str = include_str!("../../../crates/baton-config/fixtures/agents/seed-002-full.yaml");
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
