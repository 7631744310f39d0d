//! Hand-overs for good, forced ones, and the conversation after them.

use super::{WAYS, ask, asked_of, handoff, plot, stage, text_of};
use crate::blackbox::handoff::{says, says_and_calls};
use crate::blackbox::support::run;

pub(in crate::blackbox) const SUPPORT: &str = "
agents:
  triage:
    model: '{p}/fake-triage'
    description: Finds out what the user needs
    instruction: You are a triage agent.
    handoffs:
      - { agent: billing, additional_instructions: The plan of the user is PRO-7. }
      - tech
  billing:
    model: '{p}/fake-billing'
    description: Payment and subscription issues
    instruction: You are a billing specialist.
    handoffs: [sales]
  tech:
    model: '{p}/fake-tech'
    description: Technical questions about the product
    instruction: You solve technical problems.
  sales:
    model: '{p}/fake-sales'
    description: Helps to choose the right plan
    instruction: You are a sales agent.
    handoffs: [billing]
";

/// Within one request it is bounded.
#[test]
fn to_and_fro_without_a_word_of_the_users_comes_to_an_end() {
    run(async {
        let turns = (0..8).map(|turn| {
            let to = if turn % 2 == 0 { "billing" } else { "sales" };
            says_and_calls(&format!("{turn}."), vec![handoff(to, "r")])
        });
        let fixture = stage(SUPPORT, "oai", turns.collect()).await;
        let (answer, said) = ask(&fixture, WAYS[1], "sales", "go").await;
        assert_eq!(said.finish, "length");
        let plot = plot(&fixture, &answer).await;
        assert!(plot.last().unwrap().starts_with("stop ping_pong"), "{plot:?}");
    });
}

/// Forced: no model is asked, and the recorded reason says that the configuration spoke.
#[test]
fn a_forced_hand_over_follows_the_answer() {
    const LINE: &str = "
agents:
  draft: { model: '{p}/fake-draft', force_handoff: polish }
  polish: { model: '{p}/fake-polish', description: Polishes texts }
";
    run(async {
        for provider in ["oai", "ant"] {
            for way in WAYS {
                let fixture = stage(LINE, provider, vec![says("Rough."), says("Smooth.")]).await;
                let (answer, said) = ask(&fixture, way, "draft", "write").await;
                assert_eq!(text_of(&said), "Rough.Smooth.", "{}", answer.text());
                assert_eq!(
                    plot(&fixture, &answer).await,
                    ["select only_model -->draft", "handoff handoff_forced draft->polish"]
                );
                let polish = asked_of(&fixture, provider, "polish")[0].to_string();
                assert!(polish.contains("Rough."), "{polish}");
            }
        }
    });
}
