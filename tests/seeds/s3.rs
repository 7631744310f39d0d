//! deepagents: coordinators and specialists, steps, context, and what to leave alone.

use serde_json::json;

use crate::blackbox::agents::returned::REPORT;
use crate::blackbox::agents::stepped::{desk, steps, with_context};
use crate::blackbox::agents::{
    WAYS, ask, asked_of, counted, handoff, offered_to, one, plot, stage, task, text_of,
};
use crate::blackbox::handoff::{asked, calls, decisions, extra, replays, says, user};
use crate::blackbox::support::{Home, baton, run};

/// S3-1: a coordinator with one specialist, whose tool has its description.
#[test]
fn s3_1_a_specialist_is_offered_with_its_description() {
    const TEAM: &str = "
agents:
  coordinator:
    model: '{p}/fake-coordinator'
    instruction: You coordinate tasks and delegate to specialists.
    handoff_tool: transfer_to
    handoffs: [specialist]
  specialist:
    model: '{p}/fake-specialist'
    description: Handles complex analysis
    instruction: You handle specialized tasks.
";
    run(async {
        for provider in ["oai", "ant"] {
            for way in WAYS {
                let turns = vec![
                    one(("transfer_to_specialist".to_owned(), json!({"reason": "analysis"}))),
                    says("Analysed."),
                ];
                let fixture = stage(TEAM, provider, turns).await;
                let (answer, said) = ask(&fixture, way, "coordinator", "Analyze this data").await;
                let case = format!("{provider} {way:?} {}", answer.text());
                assert_eq!(said.text, "Analysed.", "{case}");
                assert_eq!(
                    offered_to(&fixture, provider, "coordinator"),
                    ["transfer_to_specialist"],
                    "{case}"
                );
                let tools = asked_of(&fixture, provider, "coordinator")[0]["tools"].to_string();
                assert!(tools.contains("Handles complex analysis"), "{case}: {tools}");
                let specialist = asked_of(&fixture, provider, "specialist")[0].to_string();
                assert!(specialist.contains("You handle specialized tasks."), "{case}: {specialist}");
                assert_eq!(
                    plot(&fixture, &answer).await,
                    ["select only_model -->coordinator", "handoff handed_over coordinator->specialist"],
                    "{case}"
                );
            }
        }
    });
}

/// S3-2: by their descriptions, each reached by its own task.
#[test]
fn s3_2_each_specialist_is_reached_by_its_own_task() {
    const TEAM: &str = "
agents:
  coordinator:
    model: '{p}/fake-coordinator'
    instruction: Delegate tasks to the appropriate specialist.
    handoff_tool: transfer_to
    handoffs: [researcher, coder]
  researcher:
    model: '{p}/fake-researcher'
    description: Use for fact-finding, research, and information gathering
  coder:
    model: '{p}/fake-coder'
    description: Use for code generation, debugging, and code review
";
    run(async {
        for (target, other) in [("researcher", "coder"), ("coder", "researcher")] {
            let turns =
                vec![one((format!("transfer_to_{target}"), json!({"reason": "it fits"}))), says("Done.")];
            let fixture = stage(TEAM, "oai", turns).await;
            let (_, said) = ask(&fixture, WAYS[0], "coordinator", "do it").await;
            assert_eq!(said.text, "Done.");
            assert_eq!(
                offered_to(&fixture, "oai", "coordinator"),
                ["transfer_to_researcher", "transfer_to_coder"]
            );
            let tools = asked_of(&fixture, "oai", "coordinator")[0]["tools"].to_string();
            assert!(tools.contains("Use for fact-finding, research, and information gathering"), "{tools}");
            assert_eq!(asked_of(&fixture, "oai", target).len(), 1);
            assert!(asked_of(&fixture, "oai", other).is_empty());
        }
    });
}

/// S3-3: the steps change what the target sees, once for each transfer and never otherwise.
#[test]
fn s3_3_steps_before_a_hand_over_edit_what_the_target_sees() {
    const STEPS: &str = "
      - set: { user: Ann, plan: '{{context.tier}}-7', why: '{{reason}}' }
      - prepend: 'A case of {{context.user}}.'
      - append: Be kind.
      - instructions: 'The account is {{context.account}}; {{from}} sends you.'
";
    run(async {
        for provider in ["oai", "ant"] {
            for way in WAYS {
                let turns = vec![
                    one(handoff("expert", "a card")),
                    calls(vec![("nothing_like_it".to_owned(), json!({}))]),
                    says("Done."),
                ];
                let fixture = stage(&desk(STEPS), provider, turns).await;
                let context = json!({"tier": "pro", "account": 42, "user": "nobody"});
                let (answer, said) = asked(&fixture.baton, way, with_context("desk", &context)).await;
                let case = format!("{provider} {way:?} {}", answer.text());
                assert_eq!(said.text, "Done.", "{case}");
                let first = asked_of(&fixture, provider, "desk")[0].to_string();
                assert!(!first.contains("A case of") && !first.contains("Be kind."), "{case}: {first}");
                for seen in asked_of(&fixture, provider, "expert") {
                    let seen = seen.to_string();
                    for part in [
                        "You serve Ann.",
                        "A case of Ann.",
                        "Be kind.",
                        "Plan pro-7.",
                        "The account is 42; desk sends you.",
                    ] {
                        assert_eq!(seen.matches(part).count(), 1, "{part} {case}: {seen}");
                    }
                }
                let after = &extra(&answer, way.1, "baton")["context"];
                let expected =
                    json!({"tier": "pro", "account": 42, "user": "Ann", "plan": "pro-7", "why": "a card"});
                assert_eq!(after, &expected, "{case}");
                let done = ["set", "prepend", "append", "instructions"];
                let done = done.map(|kind| format!("expert before_handoff {kind} done -"));
                assert_eq!(steps(&fixture, &answer).await, done, "once: {case}");
            }
        }
    });
}

/// S3-3: a veto keeps the active agent, and the model is told why.
#[test]
fn s3_3_a_veto_keeps_the_conversation_where_it_is() {
    const STEPS: &str = "
      - { veto_if: 'context.locked == true', why: 'account {{context.account}} is locked' }
      - instructions: Not reached.
";
    run(async {
        for way in WAYS {
            let turns = vec![one(handoff("expert", "r")), says("I cannot.")];
            let fixture = stage(&desk(STEPS), "oai", turns).await;
            let context = json!({"locked": true, "account": 7});
            let (answer, said) = asked(&fixture.baton, way, with_context("desk", &context)).await;
            assert_eq!(said.text, "I cannot.", "{}", answer.text());
            let seen = asked_of(&fixture, "oai", "desk")[1].to_string();
            assert!(seen.contains("not handed over") && seen.contains("account 7 is locked"), "{seen}");
            assert!(asked_of(&fixture, "oai", "expert").is_empty());
            assert_eq!(
                plot(&fixture, &answer).await,
                ["select only_model -->desk", "stay handoff_denied -->desk"]
            );
            let all = decisions(&fixture, &answer).await;
            let why = all[1]["reason"]["text"].as_str().unwrap();
            assert!(why.contains("a step before the hand-over to agent `expert` forbade it"), "{why}");
            assert_eq!(steps(&fixture, &answer).await, ["expert before_handoff veto_if vetoed -"]);

            let turns = vec![one(handoff("expert", "r")), says("Of course.")];
            let fixture = stage(&desk(STEPS), "oai", turns).await;
            let (answer, said) = asked(&fixture.baton, way, with_context("desk", &json!({}))).await;
            assert_eq!(said.text, "Of course.", "{}", answer.text());
            assert_eq!(steps(&fixture, &answer).await[0], "expert before_handoff veto_if skipped -");
        }
    });
}

/// S3-4: whichever agent ended: of a task, of the client's conversation after a hand-over for good; not who handed on.
#[test]
fn s3_4_steps_at_an_end_are_done_for_whichever_agent_ended() {
    const TEAM: &str = "
agents:
  root: { model: '{p}/fake-root', handoffs: [next], sub_agents: [helper], on_end: [{ push: { ended: root } }] }
  next: { model: '{p}/fake-next', description: Takes over, on_end: [{ push: { ended: next } }] }
  helper: { model: '{p}/fake-helper', description: Looks things up, on_end: [{ push: { ended: helper } }] }
";
    run(async {
        for way in WAYS {
            let turns =
                vec![one(task("helper", "t")), says("Found."), one(handoff("next", "r")), says("Done.")];
            let fixture = stage(TEAM, "oai", turns).await;
            let (answer, said) = ask(&fixture, way, "root", "go").await;
            assert_eq!(said.text, "Done.", "{}", answer.text());
            assert_eq!(extra(&answer, way.1, "baton")["context"], json!({"ended": ["helper", "next"]}));
        }
    });
}

/// S3-5 and S3-10: control comes back each time, with the answer as the transfer's result.
#[test]
fn s3_5_control_returns_to_the_coordinator_each_time() {
    run(async {
        for provider in ["oai", "ant"] {
            for way in WAYS {
                let turns = vec![
                    one(handoff("researcher", "facts")),
                    says("Facts."),
                    one(handoff("analyst", "insights")),
                    says("Insights."),
                    one(handoff("writer", "prose")),
                    says("Prose."),
                    says("The report."),
                ];
                let fixture = stage(REPORT, provider, turns).await;
                let (answer, said) = ask(&fixture, way, "coordinator", "A report on cats").await;
                let case = format!("{provider} {way:?} {}", answer.text());
                assert_eq!(text_of(&said), "Facts.Insights.Prose.The report.", "{case}");
                let story = plot(&fixture, &answer).await;
                assert_eq!(
                    story,
                    [
                        "select only_model -->coordinator",
                        "handoff handed_over coordinator->researcher",
                        "return returned researcher->coordinator",
                        "handoff handed_over coordinator->analyst",
                        "return returned analyst->coordinator",
                        "handoff handed_over coordinator->writer",
                        "return returned writer->coordinator",
                    ],
                    "{case}"
                );
                let coordinator = asked_of(&fixture, provider, "coordinator");
                assert_eq!(coordinator.len(), 4, "{case}");
                let last = coordinator[3].to_string();
                for part in ["Facts.", "Insights.", "Prose.", "# Purpose", "- Create comprehensive reports"] {
                    assert!(last.contains(part), "{part} {case}: {last}");
                }
                assert_eq!(last.matches("# Team").count(), 1, "rendered once: {case}");
                assert!(!last.contains("You research."), "{case}");
                let writer = asked_of(&fixture, provider, "writer")[0].to_string();
                assert!(
                    writer.contains("Insights.") && writer.contains("A report on cats"),
                    "{case}: {writer}"
                );
                replays(&fixture, 4).await;
            }
        }
    });
}

/// S3-6: inner coordinators have their tools; three levels work.
#[test]
fn s3_6_coordinators_of_coordinators_have_their_tools() {
    const NESTED: &str = "
agents:
  main: { model: '{p}/fake-main', handoffs: [{ agent: data, returns: true }] }
  data: { model: '{p}/fake-data', description: Data operations, handoffs: [{ agent: specialist, returns: true }] }
  specialist: { model: '{p}/fake-specialist', description: Data collection and processing }
";
    run(async {
        for way in WAYS {
            let turns = vec![
                one(handoff("data", "r")),
                one(handoff("specialist", "r")),
                says("Collected."),
                says("Coordinated."),
                says("Reported."),
            ];
            let fixture = stage(NESTED, "oai", turns).await;
            let (answer, said) = ask(&fixture, way, "main", "go").await;
            assert_eq!(text_of(&said), "Collected.Coordinated.Reported.", "{}", answer.text());
            assert_eq!(offered_to(&fixture, "oai", "data"), ["handoff"]);
            assert!(offered_to(&fixture, "oai", "specialist").is_empty());
            assert_eq!(
                plot(&fixture, &answer).await[1..],
                [
                    "handoff handed_over main->data",
                    "handoff handed_over data->specialist",
                    "return returned specialist->data",
                    "return returned data->main",
                ]
            );
        }
    });
}

/// S3-7: only the targets that the context enables are offered.
#[test]
fn s3_7_only_the_targets_that_the_context_enables_are_offered() {
    const PROJECT: &str = "
agents:
  coordinator:
    model: '{p}/fake-coordinator'
    handoff_tool: transfer_to
    handoffs:
      - { agent: web, enabled_if: 'context.projectType == \"web\"' }
      - { agent: frontend, enabled_if: 'context.projectType == \"web\"' }
      - { agent: mobile, enabled_if: 'context.projectType == \"mobile\"' }
      - { agent: ml, enabled_if: 'context.projectType == \"data\"' }
  web: { model: '{p}/fake-web', description: Web sites }
  frontend: { model: '{p}/fake-frontend', description: User interfaces }
  mobile: { model: '{p}/fake-mobile', description: Apps of phones }
  ml: { model: '{p}/fake-ml', description: Models and statistics }
";
    run(async {
        for (kind, offered) in [
            (json!("web"), &["transfer_to_web", "transfer_to_frontend"][..]),
            (json!("mobile"), &["transfer_to_mobile"]),
            (json!("data"), &["transfer_to_ml"]),
            (json!(null), &[]),
        ] {
            let turns = vec![one(("transfer_to_ml".to_owned(), json!({"reason": "r"}))), says("Done.")];
            let fixture = stage(PROJECT, "oai", turns).await;
            let body = json!({
                "model": "agent/coordinator", "messages": user("go"), "baton": {"context": {"projectType": kind}},
            });
            let (_, said) = asked(&fixture.baton, WAYS[0], body).await;
            assert_eq!(said.text, "Done.", "{kind}");
            assert_eq!(offered_to(&fixture, "oai", "coordinator"), offered, "{kind}");
            let reached = asked_of(&fixture, "oai", "ml").len();
            assert_eq!(reached, usize::from(kind == "data"), "{kind}: what is not offered is not reached");
        }
    });
}

const WORKFLOW: &str = "
agents:
  coordinator:
    model: '{p}/fake-coordinator'
    instruction: Coordinate workflow.
    handoffs:
      - { agent: researcher, returns: true }
      - { agent: writer, returns: true }
      - { agent: closer, enabled_if: 'context.written == true' }
    on_end: [{ set: { ended_by: coordinator } }]
  researcher:
    model: '{p}/fake-researcher'
    description: Research and fact-finding
    instruction: 'Research for user {{context.userId}}'
    on_end:
      - push: { steps: research }
      - set: { results.research: '{{answer}}' }
  writer:
    model: '{p}/fake-writer'
    description: Content creation and writing
    instruction: 'Write content based on: {{context.results.research}}'
    on_end:
      - push: { steps: writing }
      - set: { results.content: '{{answer}}', written: true }
  closer: { model: '{p}/fake-closer', description: Says goodbye }
";

/// S3-4 and S3-8: each agent's end changes the context, templates and conditions see it, and it is given back.
#[test]
fn s3_8_context_goes_from_agent_to_agent_and_comes_back() {
    run(async {
        for provider in ["oai", "ant"] {
            for way in WAYS {
                let turns = vec![
                    one(handoff("researcher", "facts")),
                    says("Cats purr."),
                    one(handoff("writer", "prose")),
                    says("An ode to cats."),
                    says("The report."),
                ];
                let fixture = stage(WORKFLOW, provider, turns).await;
                let context = json!({"userId": "user123", "steps": [], "results": {}});
                let (answer, said) = asked(&fixture.baton, way, with_context("coordinator", &context)).await;
                let case = format!("{provider} {way:?} {}", answer.text());
                assert_eq!(text_of(&said), "Cats purr.An ode to cats.The report.", "{case}");
                let researcher = asked_of(&fixture, provider, "researcher")[0].to_string();
                assert!(researcher.contains("Research for user user123"), "{case}: {researcher}");
                let writer = asked_of(&fixture, provider, "writer")[0].to_string();
                assert!(writer.contains("Write content based on: Cats purr."), "{case}: {writer}");
                let after = &extra(&answer, way.1, "baton")["context"];
                assert_eq!(
                    after,
                    &json!({
                        "userId": "user123", "steps": ["research", "writing"], "written": true,
                        "results": {"research": "Cats purr.", "content": "An ode to cats."},
                        "ended_by": "coordinator",
                    }),
                    "{case}"
                );
                let coordinator = asked_of(&fixture, provider, "coordinator");
                let offers = |at: usize| coordinator[at]["tools"].to_string().contains("Says goodbye");
                assert_eq!([0, 1, 2].map(offers), [false, false, true], "{case}");
                assert_eq!(
                    plot(&fixture, &answer).await,
                    [
                        "select only_model -->coordinator",
                        "handoff handed_over coordinator->researcher",
                        "return returned researcher->coordinator",
                        "handoff handed_over coordinator->writer",
                        "return returned writer->coordinator",
                        "stay ended -->coordinator",
                    ],
                    "{case}"
                );
                assert_eq!(
                    steps(&fixture, &answer).await,
                    [
                        "researcher on_end push done -",
                        "researcher on_end set done -",
                        "writer on_end push done -",
                        "writer on_end set done -",
                        "coordinator on_end set done -",
                    ],
                    "{case}"
                );
            }
        }
    });
}

/// S3-9: with transfers followed, and as one agent with a limit of steps.
#[test]
fn s3_9_transfers_are_followed_and_one_agent_alone_has_its_steps() {
    const SWARM: &str = "
agents:
  coordinator: { model: '{p}/fake-coordinator', handoffs: [writer] }
  writer: { model: '{p}/fake-writer', description: Writes reports }
  alone: { model: '{p}/fake-alone', max_iterations: 2 }
";
    run(async {
        for way in WAYS {
            let fixture = stage(SWARM, "oai", vec![one(handoff("writer", "r")), says("Written.")]).await;
            let (answer, said) = ask(&fixture, way, "coordinator", "Complete this task").await;
            assert_eq!(said.text, "Written.", "{}", answer.text());

            let nothing = || calls(vec![("nothing_like_it".to_owned(), json!({}))]);
            let fixture = stage(SWARM, "oai", vec![nothing(), nothing(), says("Not reached.")]).await;
            let (answer, said) = ask(&fixture, way, "alone", "go").await;
            assert!(
                ["length", "max_tokens", "incomplete"].contains(&said.finish.as_str()),
                "{}",
                said.finish
            );
            assert_eq!(asked_of(&fixture, "oai", "alone").len(), 2, "{}", answer.text());
            assert_eq!(plot(&fixture, &answer).await.last().unwrap(), "stop max_turns -->alone");
        }
    });
}

/// S3-10: purpose and routine are rendered once, with the section of the team.
#[test]
fn s3_10_purpose_and_routine_are_rendered_once() {
    const HELPER: &str = "
agents:
  coordinator:
    model: '{p}/fake-coordinator'
    instruction:
      purpose: [You coordinate software development tasks, Break down complex problems]
      routine: ['1. Analyze the user request', '2. Present final output to user']
    handoffs: [{ agent: coder, returns: true }]
  coder: { model: '{p}/fake-coder', description: Writes code }
";
    run(async {
        for provider in ["oai", "ant"] {
            let turns = vec![one(handoff("coder", "r")), says("Code."), says("Presented.")];
            let fixture = stage(HELPER, provider, turns).await;
            let (answer, said) = ask(&fixture, WAYS[0], "coordinator", "go").await;
            assert_eq!(text_of(&said), "Code.Presented.", "{}", answer.text());
            for seen in asked_of(&fixture, provider, "coordinator") {
                let seen = seen.to_string();
                for part in [
                    "# Purpose\\n- You coordinate software development tasks\\n- Break down complex problems",
                    "# Routine\\n- 1. Analyze the user request\\n- 2. Present final output to user",
                    "# Team",
                ] {
                    assert_eq!(seen.matches(part).count(), 1, "{part}: {seen}");
                }
            }
        }
    });
}

/// S3-11: the five anti-patterns, each warned of at load with its place, and counted at run time.
#[test]
fn s3_11_anti_patterns_are_warned_of_and_counted() {
    const BAD: &str = "
agents:
  hub:
    model: '{p}/fake-hub'
    handoffs: [a, b, c, d, e, f]
  a: { model: '{p}/fake-a', description: A helpful assistant, handoffs: [b] }
  b: { model: '{p}/fake-b', description: Orders goods, handoffs: [a] }
  c: { model: '{p}/fake-c', description: Writes letters }
  d: { model: '{p}/fake-d', description: Counts stock }
  e: { model: '{p}/fake-e', description: Plans journeys }
  f: { model: '{p}/fake-f', description: Pays invoices }
  one: { model: '{p}/fake-one', sub_agents: [two] }
  two: { model: '{p}/fake-two', description: Splits questions, sub_agents: [three] }
  three: { model: '{p}/fake-three', description: Finds sources, sub_agents: [four] }
  four: { model: '{p}/fake-four', description: Reads sources }
  x: { model: '{p}/fake-x', description: Sells tickets, handoffs: [y] }
  y: { model: '{p}/fake-y', description: Refunds tickets, handoffs: [x] }
";
    run(async {
        let loads = BAD.lines().map(|line| match line.split_once("model: '{p}/fake-") {
            Some((head, tail)) => {
                let (_, rest) = tail.split_once('\'').unwrap();
                format!("{head}model: echo/hello{rest}\n")
            }
            None => format!("{line}\n"),
        });
        let home = Home::new(&loads.collect::<String>());
        let said = baton(&home, &["check"]).await.expect(0).out;
        for (place, warning) in [
            ("3:", "it can hand over to 6 agents"),
            ("6:", "the conversation can go in a circle (a → b → a)"),
            ("5:", "the description of `a` does not say what it is for"),
            ("16:", "`x` and `y` hand to each other without a coordinator"),
            ("12:", "4 levels of coordinators (one → two → three → four)"),
        ] {
            let line = said.lines().find(|line| line.contains(warning));
            let line = line.unwrap_or_else(|| panic!("{warning}: {said}"));
            assert!(line.contains(&format!(" {place}")) || line.starts_with(place), "{place} {line}");
        }

        let turns = vec![
            one(handoff("a", "r")),
            one(handoff("b", "r")),
            one(handoff("a", "r")),
            says("So."),
            one(task("two", "t")),
            one(task("three", "t")),
            one(task("four", "t")),
            says("Read."),
            says("Found."),
            says("Split."),
            says("Told."),
        ];
        let fixture = stage(BAD, "oai", turns).await;
        let (answer, said) = ask(&fixture, WAYS[0], "hub", "go").await;
        assert_eq!(said.text, "So.", "{}", answer.text());
        let (answer, said) = ask(&fixture, WAYS[0], "one", "go").await;
        assert_eq!(said.text, "Told.", "{}", answer.text());
        for (pattern, agent, count) in [
            ("many_targets", "hub", 1),
            ("vague", "a", 2),
            ("ping_pong", "a", 1),
            ("no_coordinator", "b", 1),
            ("no_coordinator", "a", 1),
            ("depth", "four", 1),
        ] {
            counted(&fixture, pattern, agent, count).await;
        }
        let metrics = fixture.baton.get("/metrics").await.expect(200);
        assert!(!metrics.text().contains("pattern=\"chain\""), "three are not four");
    });
}
