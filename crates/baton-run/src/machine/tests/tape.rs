//! A run that was cut off anywhere goes on as if it had not been.

use super::team::{crew, words_of_agents};
use super::*;
use crate::{Entry, Start, Tape};

/// What a run comes to with this script: after each entry of its tape, what followed and how the machine stood.
struct Played {
    tape: Tape,
    /// One more than entries: the first is the beginning's.
    stood: Vec<(Effect, String)>,
}

fn stands(machine: &Machine) -> String {
    format!("{machine:?}")
}

/// Plays a run until its script or the run ends, and writes down what happens.
fn played(mut machine: Machine, script: &[(Vec<String>, bool)], seed: usize) -> Played {
    let mut tape = Tape { start: Some(Start::of(&machine)), entries: Vec::new() };
    let mut script = script.iter();
    let mut effect = machine.step(Event::Begin);
    let mut stood = vec![(effect.clone(), stands(&machine))];
    let mut steps = seed;
    loop {
        steps += 1;
        let event = match &effect {
            Effect::Price => Event::Priced(Some(NanoUsd(5))),
            Effect::Turn => {
                let Some((calls, fails)) = script.next() else { break };
                if steps.is_multiple_of(4) && machine.terms().team.is_none() {
                    // Somebody else of the pool answers.
                    let other = (machine.active() + 1) % 3;
                    machine.took_over(other);
                    tape.entries.push(Entry::Took(machine.terms().members.name(other).to_owned()));
                    stood.push((effect.clone(), stands(&machine)));
                }
                if *fails { Event::Failed } else { turn(&calls.join(", ")) }
            }
            Effect::Decide { to } | Effect::Force { to } | Effect::Delegate { to, .. } => {
                if steps.is_multiple_of(5) {
                    Event::Denied("no".into())
                } else {
                    if machine.terms().team.is_some() {
                        let tools = vec![format!("tool_of_{to}")];
                        machine.equip(*to, tools.clone());
                        let member = machine.terms().members.name(*to).to_owned();
                        tape.entries.push(Entry::Equipped { member, tools });
                        stood.push((effect.clone(), stands(&machine)));
                    }
                    Event::Granted
                }
            }
            Effect::Returned { .. } | Effect::Ended { .. } => Event::Noted,
            Effect::Tools(calls) => {
                let text = || CallResult { parts: vec![Part::text("found", CHAT)], is_error: false };
                Event::ToolsDone(calls.iter().map(|call| (call.id.clone(), text())).collect())
            }
            Effect::Rules => {
                if steps.is_multiple_of(3) {
                    machine.limit_turns(9);
                    tape.entries.push(Entry::Limited(9));
                    stood.push((effect.clone(), stands(&machine)));
                }
                Event::Ruled(if steps.is_multiple_of(7) { Ruling::Stop } else { Ruling::Go(steps % 4) })
            }
            Effect::Finish(_) | Effect::Stop(_) | Effect::Fail => break,
        };
        tape.entries.push(Entry::of(&event, &machine));
        effect = machine.step(event);
        stood.push((effect.clone(), stands(&machine)));
    }
    Played { tape, stood }
}

/// Cuts a tape at every place, and has a new machine told what is left of it, as it was stored.
fn resumes_anywhere(new: impl Fn() -> Machine, played: &Played) {
    let stored: Tape = serde_json::from_str(&serde_json::to_string(&played.tape).unwrap()).unwrap();
    assert_eq!(stored, played.tape, "a tape is read as it was written");
    for cut in 0..=stored.entries.len() {
        let mut machine = new();
        let mut effect = stored.begin(&mut machine).unwrap();
        for entry in &stored.entries[..cut] {
            if let Some(next) = entry.play(&mut machine).unwrap() {
                effect = next;
            }
        }
        let (expected, stood) = &played.stood[cut];
        assert_eq!(&effect, expected, "cut at {cut}");
        assert_eq!(&stands(&machine), stood, "cut at {cut}");
    }
}

#[test]
fn who_is_gone_by_then_is_named() {
    let machine = Machine::new(terms(), 2);
    let tape = Tape { start: Some(Start::of(&machine)), entries: Vec::new() };
    let mut fewer = terms();
    fewer.members =
        Members::new(vec![Member { name: "p/a".to_owned(), ..Member::default() }], &[], true, false);
    let refused = tape.begin(&mut Machine::new(fewer, 0)).unwrap_err();
    assert_eq!(refused, crate::TapeError::NoSuchMember("p/c".to_owned()));
}

#[test]
fn what_does_not_fit_is_not_guessed_at() {
    let mut machine = begun(terms());
    assert_eq!(Entry::of(&Event::Granted, &machine).play(&mut machine), Err(crate::TapeError::DoesNotFit));
}

#[test]
fn a_run_that_a_rule_moved_at_its_start_is_played_again() {
    let new = || Machine::new(terms(), 0);
    let mut machine = Machine::new(terms(), 2);
    machine.came_from(1);
    let played =
        played(machine, &[(vec!["web__search".to_owned()], false), (vec!["text: x".to_owned()], false)], 0);
    resumes_anywhere(new, &played);
}

#[test]
fn variables_are_for_who_carries_the_run_out() {
    let mut machine = begun(terms());
    let before = stands(&machine);
    let context = serde_json::from_str(r#"{"steps":["research"]}"#).unwrap();
    assert_eq!(Entry::Context(context).play(&mut machine), Ok(None));
    assert_eq!(stands(&machine), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_run_of_models_goes_on_wherever_it_was_cut(
        script in prop::collection::vec((prop::collection::vec(names(), 0..5), prop::bool::weighted(0.2)), 20),
        budget in prop::option::of(0_u64..80),
        seed in 0_usize..60,
    ) {
        let limits = Limits { budget: budget.map(NanoUsd), ..Limits::default() };
        let new = || Machine::new(Terms { limits, ..terms() }, 0);
        // Whoever a new plan begins with, the run began with another.
        let played = played(Machine::new(Terms { limits, ..terms() }, seed % 3), &script, seed);
        resumes_anywhere(new, &played);
    }

    #[test]
    fn a_run_of_agents_goes_on_wherever_it_was_cut(
        script in prop::collection::vec((prop::collection::vec(words_of_agents(), 0..5), prop::bool::weighted(0.1)), 30),
        seed in 0_usize..60,
        waits in prop::bool::ANY,
    ) {
        let new = || Machine::new(crew(), 0);
        let mut machine = Machine::new(crew(), if waits { 2 } else { 0 });
        if waits {
            machine.resume(vec![0]);
        }
        let played = played(machine, &script, seed);
        resumes_anywhere(new, &played);
    }
}
