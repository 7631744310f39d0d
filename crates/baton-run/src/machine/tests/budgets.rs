//! Money, whatever models do and upstreams say: ten thousand runs each.

use super::*;

/// What one turn may cost at most, what it costs, and what the model does with it.
fn turns() -> impl Strategy<Value = Vec<(u64, u64, Vec<String>, bool)>> {
    let turn = (1_u64..50, 0_u64..150, prop::collection::vec(names(), 1..4), prop::bool::weighted(0.1));
    prop::collection::vec(turn, 60)
}

/// What was spent before each turn that was asked for, and in the end.
fn played(budget: u64, turns: Vec<(u64, u64, Vec<String>, bool)>, says_true: bool) -> (Vec<u64>, u64) {
    let limits = Limits {
        max_turns: 40,
        max_handoffs: 40,
        max_same_way: 40,
        budget: Some(NanoUsd(budget)),
        ..Limits::default()
    };
    let mut machine = Machine::new(Terms { limits, own_tools: true, ..terms() }, 0);
    let (mut before, mut reserved) = (Vec::new(), 0);
    let mut script = turns.into_iter().peekable();
    let mut effect = machine.step(Event::Begin);
    loop {
        let event = match effect {
            Effect::Price => {
                reserved = script.peek().map_or(1, |(most, ..)| *most);
                Event::Priced(Some(NanoUsd(reserved)))
            }
            Effect::Turn => {
                before.push(machine.spent().0);
                match script.next() {
                    Some((.., true)) => Event::Failed,
                    Some((_, cost, calls, false)) => {
                        let cost = if says_true { cost.min(reserved) } else { cost };
                        match turn(&calls.join(", ")) {
                            Event::Ended(end) => Event::Ended(TurnEnd { cost: Some(NanoUsd(cost)), ..end }),
                            other => other,
                        }
                    }
                    None => turn("text: that is all"),
                }
            }
            Effect::Decide { .. } => Event::Granted,
            Effect::Tools(_) => Event::ToolsDone(Vec::new()),
            Effect::Rules => Event::Ruled(Ruling::Go(0)),
            _ => return (before, machine.spent().0),
        };
        effect = machine.step(event);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn no_run_costs_more_than_its_budget(budget in 0_u64..600, turns in turns()) {
        let (_, spent) = played(budget, turns, true);
        prop_assert!(spent <= budget, "{spent} of {budget}");
    }

    #[test]
    fn where_an_upstream_charges_more_than_it_may_one_call_goes_beyond(budget in 0_u64..600, turns in turns()) {
        let (before, _) = played(budget, turns, false);
        // No turn is asked for once all is spent.
        prop_assert!(before.iter().all(|spent| *spent < budget.max(1)), "{before:?} of {budget}");
    }
}
