//! Hand-overs that return, coordinators of coordinators, and targets that depend on the context.

use serde_json::json;

use super::{WAYS, ask, asked_of, handoff, offered_to, one, plot, stage, text_of};
use crate::blackbox::handoff::{Surface, asked, calls, replays, says, tool, user};
use crate::blackbox::support::run;

const REPORT: &str = "
agents:
  coordinator:
    model: '{p}/fake-coordinator'
    instruction:
      purpose: [Create comprehensive reports]
      routine: ['1. Use researcher to gather facts', '2. Use writer to write the report']
    handoffs:
      - { agent: researcher, returns: true }
      - { agent: analyst, returns: true }
      - { agent: writer, returns: true }
  researcher: { model: '{p}/fake-researcher', description: Research and fact-finding, instruction: You research. }
  analyst: { model: '{p}/fake-analyst', description: Data analysis and insights }
  writer: { model: '{p}/fake-writer', description: Content creation and writing }
";

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

/// A tool of the client's in a returning hop: the next request goes on there, and the return is still due.
#[test]
fn a_return_stays_due_while_the_client_runs_a_tool() {
    run(async {
        let turns = vec![
            one(handoff("researcher", "facts")),
            calls(vec![("weather".to_owned(), json!({"city": "Rome"}))]),
            says("Sunny."),
            says("All in all, sunny."),
        ];
        let fixture = stage(REPORT, "oai", turns).await;
        let tools = [tool(Surface::Chat, "weather")];
        let body = json!({"model": "agent/coordinator", "messages": user("Rome?"), "tools": tools});
        let (_, said) = asked(&fixture.baton, WAYS[0], body).await;
        assert_eq!(said.calls.len(), 1);
        let id = &said.call_ids[0];
        let messages = json!([
            {"role": "user", "content": "Rome?"},
            {"role": "assistant", "tool_calls": [
                {"id": id, "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}},
            ]},
            {"role": "tool", "tool_call_id": id, "content": "30 degrees"},
        ]);
        let body = json!({"model": "agent/coordinator", "messages": messages, "tools": tools});
        let (answer, said) = asked(&fixture.baton, WAYS[0], body).await;
        assert_eq!(text_of(&said), "Sunny.All in all, sunny.");
        assert_eq!(
            plot(&fixture, &answer).await,
            ["stay only_model -->researcher", "return returned researcher->coordinator"]
        );
        let coordinator = asked_of(&fixture, "oai", "coordinator");
        assert!(coordinator[1].to_string().contains("Sunny."), "{}", coordinator[1]);
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
