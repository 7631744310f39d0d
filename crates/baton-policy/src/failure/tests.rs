use proptest::prelude::*;

use super::*;

const KINDS: [FaultKind; 18] = [
    FaultKind::InvalidRequest,
    FaultKind::ContextTooLong,
    FaultKind::UnsupportedFeature,
    FaultKind::ModelUnavailable,
    FaultKind::Unauthorized,
    FaultKind::QuotaExhausted,
    FaultKind::RateLimited,
    FaultKind::Overloaded,
    FaultKind::ServerError,
    FaultKind::Connect,
    FaultKind::Timeout,
    FaultKind::MalformedAnswer,
    FaultKind::Truncated,
    FaultKind::ContentFiltered,
    FaultKind::TooLarge,
    FaultKind::ClientCancelled,
    FaultKind::ClientStalled,
    FaultKind::Internal,
];

/// What a row leads to: with another target left, and alone; first at the first failure, then when the
/// retries are used up. `+key` is what comes before all that where a credential is left.
#[track_caller]
fn check(kind: FaultKind, row: &str) {
    let others = steps(kind, true);
    let alone = steps(kind, false);
    let with_key = History { credentials_left: true, ..history(1, true) };
    let key = if next(kind, None, &with_key) == Next::Credential { " +key" } else { "" };
    assert_eq!(format!("{others}; alone {alone}{key}; {:?}", reaction(kind).counts), row, "{kind}");
}

#[test]
fn a_server_error_is_retried_then_left() {
    check(FaultKind::ServerError, "retry retry next; alone retry retry stop; Target");
}

#[test]
fn an_overloaded_target_is_retried_then_left() {
    check(FaultKind::Overloaded, "retry retry next; alone retry retry stop; Target");
}

#[test]
fn a_failed_connection_is_retried_then_left() {
    check(FaultKind::Connect, "retry retry next; alone retry retry stop; Target");
}

#[test]
fn a_timeout_is_retried_then_left() {
    check(FaultKind::Timeout, "retry retry next; alone retry retry stop; Target");
}

#[test]
fn a_malformed_answer_is_retried_then_left() {
    check(FaultKind::MalformedAnswer, "retry retry next; alone retry retry stop; Target");
}

#[test]
fn a_truncated_answer_is_retried_then_left() {
    check(FaultKind::Truncated, "retry retry next; alone retry retry stop; Target");
}

#[test]
fn a_rate_limit_moves_on_at_once_and_waits_only_when_alone() {
    check(FaultKind::RateLimited, "next; alone retry retry stop +key; CoolsTarget");
}

#[test]
fn an_exhausted_quota_rests_the_key_and_moves_on() {
    check(FaultKind::QuotaExhausted, "next; alone stop +key; CoolsCredential");
}

#[test]
fn a_refused_key_is_replaced_then_its_target_is() {
    check(FaultKind::Unauthorized, "next; alone stop +key; Credential");
}

#[test]
fn too_long_a_context_goes_to_a_target_that_takes_it() {
    check(FaultKind::ContextTooLong, "next; alone stop; Nothing");
}

#[test]
fn an_unsupported_feature_goes_to_a_target_that_has_it() {
    check(FaultKind::UnsupportedFeature, "next; alone stop; Nothing");
}

#[test]
fn an_unavailable_model_goes_to_the_next_target() {
    check(FaultKind::ModelUnavailable, "next; alone stop; Nothing");
}

#[test]
fn an_invalid_request_is_returned() {
    check(FaultKind::InvalidRequest, "stop; alone stop; Nothing");
}

#[test]
fn too_large_a_request_is_returned() {
    check(FaultKind::TooLarge, "stop; alone stop; Nothing");
}

#[test]
fn filtered_content_is_returned() {
    check(FaultKind::ContentFiltered, "stop; alone stop; Nothing");
}

#[test]
fn a_client_that_left_or_stalled_ends_it() {
    check(FaultKind::ClientCancelled, "stop; alone stop; Nothing");
    check(FaultKind::ClientStalled, "stop; alone stop; Nothing");
}

#[test]
fn a_fault_of_our_own_is_returned() {
    check(FaultKind::Internal, "stop; alone stop; Nothing");
}

#[test]
fn a_row_is_final_when_nothing_can_follow_it() {
    for kind in KINDS {
        let all_left = History { credentials_left: true, ..history(1, true) };
        assert_eq!(reaction(kind).is_final(), next(kind, None, &all_left) == Next::Stop, "{kind}");
    }
}

#[test]
fn pauses_are_drawn_from_the_upper_half_and_double() {
    let pauses = |attempts| {
        let all = (0..2_000).map(|random| {
            match next(
                FaultKind::ServerError,
                None,
                &History { random, retries: 3, ..history(attempts, true) },
            ) {
                Next::Retry { after } => after.as_millis(),
                other => panic!("the dice only change the pause, not the step: {other:?}"),
            }
        });
        (all.clone().min().unwrap(), all.max().unwrap())
    };
    assert_eq!(pauses(1), (50, 100));
    assert_eq!(pauses(2), (100, 200));
    assert_eq!(pauses(3), (200, 400));
}

#[test]
fn a_named_pause_past_the_deadline_is_no_retry() {
    let history = History { time_left: Duration::from_secs(1), ..history(1, false) };
    assert_eq!(next(FaultKind::RateLimited, Some(Duration::from_secs(30)), &history), Next::Stop);
}

#[test]
fn a_long_pause_is_waited_for_only_when_alone() {
    let pause = Some(Duration::from_secs(3));
    assert_eq!(next(FaultKind::Overloaded, pause, &history(1, true)), Next::Fallback);
    let alone = next(FaultKind::Overloaded, pause, &history(1, false));
    assert_eq!(alone, Next::Retry { after: Duration::from_secs(3) });
}

#[test]
fn an_empty_retry_budget_ends_retries_but_not_fallback() {
    let history = History { budget: false, ..history(1, true) };
    assert_eq!(next(FaultKind::ServerError, None, &history), Next::Fallback);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn the_limits_hold_whatever_happened((kind, retry_after, history) in any_failure()) {
        let follows = next(kind, retry_after, &history);
        let row = reaction(kind);
        if history.time_left.is_zero() {
            prop_assert_eq!(follows, Next::Stop);
        }
        match follows {
            Next::Retry { after } => {
                prop_assert!(history.budget);
                prop_assert!(after < history.time_left);
                prop_assert!(history.attempts_on_target <= history.retries);
                prop_assert!(history.attempts_on_target <= MAX_RETRIES);
                prop_assert!(row.same_target != SameTarget::Never);
            }
            Next::Credential => prop_assert!(row.other_credential && history.credentials_left),
            Next::Fallback => prop_assert!(row.other_target && history.others_left),
            Next::Stop => {}
        }
    }

    #[test]
    fn a_target_gets_at_most_three_retries_and_every_request_ends(
        (kind, retry_after, start) in any_failure(),
        keys in 1..4_u32,
        targets in 1..4_u32,
    ) {
        let (mut tried, mut retries, mut steps) = (1, 0, 0);
        let (mut keys_left, mut targets_left) = (keys - 1, targets - 1);
        loop {
            let history = History {
                attempts_on_target: tried,
                credentials_left: keys_left > 0,
                others_left: targets_left > 0,
                ..start
            };
            match next(kind, retry_after, &history) {
                Next::Retry { .. } => (tried, retries) = (tried + 1, retries + 1),
                Next::Credential => (tried, keys_left) = (tried + 1, keys_left - 1),
                Next::Fallback => {
                    (tried, retries, keys_left, targets_left) = (1, 0, keys - 1, targets_left - 1);
                }
                Next::Stop => break,
            }
            steps += 1;
            prop_assert!(retries <= MAX_RETRIES);
            prop_assert!(steps <= targets * (MAX_RETRIES + keys));
        }
    }
}

fn any_failure() -> impl Strategy<Value = (FaultKind, Option<Duration>, History)> {
    let history = (any::<[bool; 3]>(), 1..6_u32, 0..6_u32, any::<u64>(), 0..5_000_u64).prop_map(
        |([credentials_left, others_left, budget], attempts_on_target, retries, random, time_left)| History {
            attempts_on_target,
            retries,
            credentials_left,
            others_left,
            budget,
            random,
            time_left: Duration::from_millis(time_left),
        },
    );
    let retry_after = proptest::option::of((0..6_000_u64).prop_map(Duration::from_millis));
    (proptest::sample::select(&KINDS[..]), retry_after, history)
}

fn history(attempts_on_target: u32, others_left: bool) -> History {
    History {
        attempts_on_target,
        retries: 2,
        credentials_left: false,
        others_left,
        budget: true,
        random: 0,
        time_left: Duration::from_secs(60),
    }
}

/// What follows each failure of the same kind until the target is left.
fn steps(kind: FaultKind, others_left: bool) -> String {
    let mut steps = Vec::new();
    for attempts in 1.. {
        match next(kind, None, &history(attempts, others_left)) {
            Next::Retry { .. } => steps.push("retry"),
            Next::Credential => steps.push("key"),
            Next::Fallback => steps.push("next"),
            Next::Stop => steps.push("stop"),
        }
        if steps.last() != Some(&"retry") {
            break;
        }
    }
    steps.join(" ")
}
