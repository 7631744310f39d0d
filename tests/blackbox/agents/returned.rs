//! Hand-overs that return, coordinators of coordinators, and targets that depend on the context.

use serde_json::json;

use super::{WAYS, asked_of, handoff, one, plot, stage, text_of};
use crate::blackbox::handoff::{Surface, asked, calls, says, tool, user};
use crate::blackbox::support::run;

pub(in crate::blackbox) const REPORT: &str = "
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
