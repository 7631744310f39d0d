use super::*;

#[test]
fn a_failing_server_is_retried_then_left() {
    assert_eq!(check(FaultKind::ServerError, 1, true), "retry 50..=100");
    assert_eq!(check(FaultKind::ServerError, 2, true), "retry 100..=200");
    assert_eq!(check(FaultKind::ServerError, 3, true), "fallback");
    assert_eq!(check(FaultKind::ServerError, 3, false), "stop");
}

#[test]
fn a_rate_limit_moves_on_at_once_and_waits_only_when_alone() {
    assert_eq!(check(FaultKind::RateLimited, 1, true), "fallback");
    assert_eq!(check(FaultKind::RateLimited, 1, false), "retry 50..=100");
}

#[test]
fn a_target_that_cannot_take_the_request_is_never_asked_again() {
    for kind in [FaultKind::ContextTooLong, FaultKind::ModelUnavailable, FaultKind::Unauthorized] {
        assert_eq!(check(kind, 1, true), "fallback");
        assert_eq!(check(kind, 1, false), "stop");
    }
}

#[test]
fn the_clients_own_mistake_is_returned_at_once() {
    for kind in [FaultKind::InvalidRequest, FaultKind::TooLarge, FaultKind::ClientCancelled] {
        assert_eq!(check(kind, 1, true), "stop");
    }
}

#[test]
fn a_pause_past_the_deadline_is_no_retry() {
    let history = History { time_left: Duration::from_secs(1), ..history(1, false) };
    assert_eq!(next(FaultKind::RateLimited, Some(Duration::from_secs(30)), &history), Next::Stop);
}

#[test]
fn an_empty_retry_budget_ends_retries_but_not_fallback() {
    let history = History { budget: false, ..history(1, true) };
    assert_eq!(next(FaultKind::ServerError, None, &history), Next::Fallback);
}

fn history(attempts_on_target: u32, others_left: bool) -> History {
    History {
        attempts_on_target,
        retries: 2,
        others_left,
        budget: true,
        random: 0,
        time_left: Duration::from_secs(60),
    }
}

/// What follows, with the least and the greatest pause over the dice.
fn check(kind: FaultKind, attempts: u32, others_left: bool) -> String {
    let pauses: Vec<Next> = (0..2_000)
        .map(|random| next(kind, None, &History { random, ..history(attempts, others_left) }))
        .collect();
    match pauses[0] {
        Next::Fallback => "fallback".to_owned(),
        Next::Stop => "stop".to_owned(),
        Next::Retry { .. } => {
            let pauses = pauses.iter().map(|next| match next {
                Next::Retry { after } => after.as_millis(),
                Next::Fallback | Next::Stop => unreachable!("the dice only change the pause"),
            });
            format!("retry {}..={}", pauses.clone().min().unwrap(), pauses.max().unwrap())
        }
    }
}
