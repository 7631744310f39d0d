use proptest::prelude::*;

use super::*;

#[test]
fn a_step_of_the_holder_is_written() {
    assert_eq!(check("epoch=3 held events=5", "epoch=3 before=5 tells=2 hold"), "writes: kept, 2 events");
    assert_eq!(check("epoch=3 held events=5", "epoch=3 before=5 hold"), "writes: kept, 0 events");
    assert_eq!(check("epoch=3 held events=5", "epoch=3 before=5 tells=1 rest"), "writes: let go, 1 events");
    assert_eq!(check("epoch=3 held events=5", "epoch=3 before=5 tells=1 end"), "writes: ended, 1 events");
}

#[test]
fn another_epoch_is_lost() {
    for then in ["hold", "rest", "end"] {
        assert_eq!(check("epoch=4 held events=5", &format!("epoch=3 before=5 {then}")), "lost");
        assert_eq!(check("epoch=4 held events=5", &format!("epoch=5 before=5 {then}")), "lost");
        assert_eq!(check("none", &format!("epoch=3 before=5 {then}")), "lost");
    }
}

#[test]
fn whoever_let_go_has_nothing_more_to_say() {
    assert_eq!(check("epoch=3 events=5", "epoch=3 before=5 tells=1 hold"), "lost");
    assert_eq!(check("epoch=3 events=5", "epoch=3 before=5 hold"), "lost");
    assert_eq!(check("epoch=3 events=5", "epoch=3 before=5 end"), "lost");
    assert_eq!(check("epoch=3 ended events=5", "epoch=3 before=5 tells=1 end"), "lost");
    assert_eq!(check("epoch=3 ended events=5", "epoch=3 before=5 rest"), "lost");
    assert_eq!(check("epoch=3 failed events=5", "epoch=3 before=5 end"), "lost");
}

#[test]
fn what_is_there_already_is_done() {
    assert_eq!(check("epoch=3 held events=5", "epoch=3 before=3 tells=2 hold"), "done");
    assert_eq!(check("epoch=3 events=5", "epoch=3 before=3 tells=2 rest"), "done");
    assert_eq!(check("epoch=3 events=5", "epoch=3 before=5 rest"), "done");
    assert_eq!(check("epoch=3 ended events=5", "epoch=3 before=4 tells=1 end"), "done");
    assert_eq!(check("epoch=3 ended events=5", "epoch=3 before=5 end"), "done");
}

#[test]
fn a_gap_is_refused() {
    for before in [0, 4, 6] {
        let answer = check("epoch=3 held events=5", &format!("epoch=3 before={before} tells=3 hold"));
        assert_eq!(answer, format!("the step follows event {before}, and the run has 5"));
    }
}

#[test]
fn a_full_log_takes_the_end_only() {
    let full = format!("epoch=3 held events=5 bytes={MOST_EVENT_BYTES}");
    let refused = format!("the events of the run have {MOST_EVENT_BYTES} bytes, and may not have more");
    assert_eq!(check(&full, "epoch=3 before=5 tells=1 hold"), refused);
    assert_eq!(check(&full, "epoch=3 before=5 tells=1 rest"), refused);
    assert_eq!(check(&full, "epoch=3 before=5 hold"), "writes: kept, 0 events");
    assert_eq!(check(&full, "epoch=3 before=5 tells=1 end"), "writes: ended, 1 events");
}

#[test]
fn whoever_should_stop_does_not_rest() {
    assert_eq!(
        check("epoch=3 held events=5 cancelled", "epoch=3 before=5 rest"),
        "writes: let go, 0 events, due, told to stop"
    );
    assert_eq!(
        check("epoch=3 held events=5 cancelled", "epoch=3 before=5 hold"),
        "writes: kept, 0 events, told to stop"
    );
}

#[test]
fn a_call_is_begun_once() {
    let call = |known: &str, mark: &str| {
        check(&format!("epoch=3 held events=0 {known}"), &format!("epoch=3 before=0 hold {mark}"))
    };
    let written = "writes: kept, 0 events";
    let (has, before) = ("the call has a result already", "the call was begun before, in epoch 2");
    assert_eq!(call("", "begins"), written);
    assert_eq!(call("", "again"), written);
    assert_eq!(call("", "ends"), "the call was not begun");
    assert_eq!(call("begun=2", "begins"), before);
    assert_eq!(call("begun=2", "again"), written);
    assert_eq!(call("begun=2", "ends"), written);
    assert_eq!(call("begun=3", "begins"), written);
    assert_eq!(call("begun=3", "ends"), written);
    assert_eq!(call("over=2", "begins"), has);
    assert_eq!(call("over=2", "again"), has);
    assert_eq!(call("over=2", "ends"), has);
    assert_eq!(call("over=3", "again"), has);
    assert_eq!(call("over=3", "ends"), written, "the same step, sent again");
}

proptest! {
    /// A step that was written and is sent again is answered without writing, or writes no event.
    #[test]
    fn no_event_is_written_twice(events in 0_u64..50, tells in 0_u64..5, then in 0..3, cancelled: bool) {
        let then = ["hold", "rest", "end"][usize::try_from(then).unwrap()];
        let mut held = held(&format!("epoch=3 held events={events}")).unwrap();
        held.cancelled = cancelled;
        let step = step(&format!("epoch=3 before={events} tells={tells} {then}"));
        let Judgement::Write(change) = judge(Some(&held), |_| None, &step) else {
            return Err(TestCaseError::fail("it is refused"));
        };
        prop_assert_eq!(change.events, tells);
        // A lease, a rest and an end exclude each other.
        prop_assert!(!(change.is_kept && change.ended_ms.is_some()));
        prop_assert!(change.ended_ms.is_none() || change.due_ms.is_none());
        let after = Held {
            is_held: change.is_kept,
            status: change.status,
            events: held.events + change.events,
            event_bytes: held.event_bytes + change.event_bytes,
            ..held
        };
        match judge(Some(&after), |_| None, &step) {
            Judgement::Answer(answer) => prop_assert_eq!(answer, Stepped::Done { cancelled }),
            Judgement::Write(again) => prop_assert_eq!((again.events, again.is_kept), (0, true)),
        }
    }
}

/// What a store does with a step, in words.
#[track_caller]
fn check(there: &str, said: &str) -> String {
    let number = |key| there.split(' ').find_map(|word| word.strip_prefix(key)).map(|n| n.parse().unwrap());
    let known = |epoch, result| KnownCall { call: CallKey::of("call"), epoch, result };
    let begun = number("begun=").map(|epoch| known(epoch, None));
    let known = number("over=").map(|epoch| known(epoch, Some(vec![1]))).or(begun);
    match judge(held(there).as_ref(), |_| known.as_ref(), &step(said)) {
        Judgement::Answer(Stepped::Done { .. }) => "done".to_owned(),
        Judgement::Answer(Stepped::Lost) => "lost".to_owned(),
        Judgement::Answer(Stepped::Refused(refusal)) => refusal.to_string(),
        Judgement::Write(change) => {
            let what = match (change.is_kept, change.ended_ms) {
                (true, _) => "kept",
                (false, None) => "let go",
                (false, Some(_)) => "ended",
            };
            let due = if !change.is_kept && change.due_ms.is_some() { ", due" } else { "" };
            let stop = if change.cancelled { ", told to stop" } else { "" };
            format!("writes: {what}, {} events{due}{stop}", change.events)
        }
    }
}

fn held(words: &str) -> Option<Held> {
    let has = |word| words.split(' ').any(|each| each == word);
    (!has("none")).then(|| Held {
        epoch: value(words, "epoch="),
        is_held: has("held"),
        status: match (has("ended"), has("failed")) {
            (true, _) => RunStatus::Completed,
            (_, true) => RunStatus::Failed,
            _ => RunStatus::InProgress,
        },
        events: value(words, "events="),
        event_bytes: value(words, "bytes="),
        cancelled: has("cancelled"),
    })
}

fn step(words: &str) -> StepRow {
    let has = |word| words.split(' ').any(|each| each == word);
    let count = value(words, "tells=");
    let call = || CallKey::of("call");
    let marks = [
        ("begins", CallMark::Begun(call())),
        ("again", CallMark::BegunAgain(call())),
        ("ends", CallMark::Ended(call(), vec![1])),
    ];
    StepRow {
        run: RunId::from_parts(1, [1; 10]),
        epoch: value(words, "epoch="),
        before: value(words, "before="),
        now_ms: 1_000,
        checkpoint: None,
        events: (count > 0).then(|| NewBatch { count, bytes: count, body: vec![1] }),
        calls: marks.into_iter().filter(|(word, _)| has(*word)).map(|(_, mark)| mark).collect(),
        then: match (has("rest"), has("end")) {
            (true, _) => Then::Rest { status: RunStatus::InProgress, due_ms: None },
            (_, true) => Then::End { status: RunStatus::Completed, result: vec![1], expires_ms: 9_000 },
            _ => Then::Hold { until_ms: 2_000 },
        },
    }
}

fn value(words: &str, key: &str) -> u64 {
    words.split(' ').find_map(|word| word.strip_prefix(key)).map_or(0, |number| number.parse().unwrap())
}
