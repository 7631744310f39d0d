use proptest::prelude::*;

use super::*;

/// Plays a script and tells where the breaker is: `@1500` sets the time, `+` and `-` are attempts that
/// succeed and fail, `p` claims the probe, `p+` and `p-` report it, `p.` gives it back, `late+` and `late-`
/// are attempts that began at 0.
#[track_caller]
fn check(script: &str, expected: &str) {
    check_with(Trip::TARGET, script, expected);
}

#[track_caller]
fn check_with(trip: Trip, script: &str, expected: &str) {
    let mut breaker = Breaker::new(trip);
    let (mut now, mut probe) = (0, None);
    for word in script.split_whitespace() {
        let fresh = Began { at_ms: now, probe: None };
        let late = Began { at_ms: 0, probe: None };
        let probing = Began { at_ms: now, probe };
        match word {
            "+" => drop(breaker.succeeded(now, fresh)),
            "-" => drop(breaker.failed(now, fresh, 0)),
            "late+" => drop(breaker.succeeded(now, late)),
            "late-" => drop(breaker.failed(now, late, 0)),
            "p" => probe = breaker.claim(now).or_else(|| panic!("no probe to be had at {now}")),
            "p+" => drop(breaker.succeeded(now, probing)),
            "p-" => drop(breaker.failed(now, probing, 0)),
            "p." => breaker.release(probe.unwrap()),
            time => now = time.strip_prefix('@').and_then(|time| time.parse().ok()).unwrap(),
        }
    }
    let state = match breaker.state(now) {
        BreakerState::Closed => "closed".to_owned(),
        BreakerState::Open { for_ms } => format!("open {for_ms}"),
        BreakerState::HalfOpen => "half open".to_owned(),
        BreakerState::Probing { for_ms } => format!("probing {for_ms}"),
    };
    assert_eq!(state, expected, "{script}");
}

#[test]
fn five_failures_in_a_row_open_it_for_a_second() {
    check("@10 - - - -", "closed");
    check("@10 - - - - -", "open 1000");
}

#[test]
fn a_success_between_starts_the_row_again() {
    check("@10 - - - - + - - - -", "closed");
}

#[test]
fn half_of_ten_in_ten_seconds_opens_it() {
    check("@10 + - + - + - + - +", "closed");
    check("@10 + - + - + - + - + -", "open 1000");
    check("@10 + + + + + + - - - - +", "closed");
}

#[test]
fn what_is_older_than_ten_seconds_does_not_count() {
    check("@10 + - + - + - + - + @10010 -", "closed");
    check("@10 + - + - + - + - + @9999 -", "open 1000");
}

#[test]
fn good_seconds_come_round_again_empty() {
    check("@10 + + + + + + + + @20010 - + - + - + - + - + @20020", "closed");
    check("@10 + + + + + + + + @20010 - + - + - + - + + - -", "open 1000");
}

#[test]
fn when_its_time_is_up_one_probe_may_try() {
    check("@10 - - - - - @1009", "open 1");
    check("@10 - - - - - @1010", "half open");
    check("@10 - - - - - @1010 p", "probing 30000");
}

#[test]
fn a_good_probe_closes_it_and_all_is_forgotten() {
    check("@10 - - - - - @1010 p p+", "closed");
    check("@10 - - - - - @1010 p p+ - - - -", "closed");
    check("@10 - - - - - @1010 p p+ - - - - -", "open 1000");
}

#[test]
fn each_failed_probe_doubles_the_time_up_to_thirty_seconds() {
    check("@10 - - - - - @2000 p p-", "open 2000");
    check("@10 - - - - - @2000 p p- @5000 p p-", "open 4000");
    check("@10 - - - - - @2000 p p- @5000 p p- @10000 p p- @20000 p p- @40000 p p-", "open 30000");
}

#[test]
fn a_probe_that_says_nothing_makes_room_for_another() {
    check("@10 - - - - - @2000 p p.", "half open");
    check("@10 - - - - - @2000 p @31999", "probing 1");
    check("@10 - - - - - @2000 p @32000", "half open");
    check("@10 - - - - - @2000 p @32000 p", "probing 30000");
}

#[test]
fn late_failures_of_the_crowd_change_nothing() {
    check("@10 - - - - - @500 late- late- late-", "open 510");
    check("@10 - - - - - @2000 late- late-", "half open");
    check("@10 - - - - - @2000 p p+ late- late- late- late- late-", "closed");
}

#[test]
fn a_success_that_began_before_it_opened_does_not_close_it() {
    check("@10 - - - - - @500 late+", "open 510");
}

#[test]
fn an_attempt_made_for_want_of_anything_better_closes_it_when_it_succeeds() {
    check("@10 - - - - - @500 +", "closed");
    check("@10 - - - - - @500 -", "open 510");
}

#[test]
fn a_key_opens_after_three_refusals_in_a_row_and_never_for_a_share() {
    check_with(Trip::CREDENTIAL, "@10 - - -", "open 1000");
    check_with(Trip::CREDENTIAL, "@10 - - + - - + - - + - - + - -", "closed");
}

#[test]
fn the_dice_shorten_a_rest_by_a_quarter_at_most() {
    let opened = (0..2_000).map(|random| {
        let mut breaker = Breaker::new(Trip { in_a_row: 1, half_of: None });
        match breaker.failed(0, Began { at_ms: 0, probe: None }, random) {
            Some(Moved::Opened { for_ms }) => for_ms,
            other => panic!("one failure opens it: {other:?}"),
        }
    });
    assert_eq!((opened.clone().min(), opened.max()), (Some(750), Some(1_000)));
}

#[test]
fn a_cooldown_keeps_what_the_provider_said_within_bounds() {
    let left = |said: Option<u64>, default| {
        let mut cooldown = Cooldown::default();
        cooldown.extend(5, said.map(Duration::from_millis), Duration::from_secs(default));
        cooldown.left_ms(5)
    };
    assert_eq!(left(Some(7_000), 60), 7_000);
    assert_eq!(left(Some(3), 60), 1_000);
    assert_eq!(left(Some(86_400_000), 60), 600_000);
    assert_eq!(left(None, 60), 60_000);
    assert_eq!(left(None, 0), 1_000);
}

/// What can happen to a breaker.
#[derive(Clone, Copy, Debug)]
enum Event {
    Wait(u64),
    Success { began_before_ms: u64 },
    Failure { began_before_ms: u64, random: u64 },
    Claim,
    ProbeSucceeds,
    ProbeFails { random: u64 },
    Release,
}

/// Drawn as plain numbers: a strategy for each kind would take longer than what it tests.
fn any_history() -> impl Strategy<Value = Vec<Event>> {
    proptest::collection::vec(any::<(u8, u16, u64)>(), 1..40)
        .prop_map(|drawn| drawn.into_iter().map(event).collect())
}

fn event((kind, millis, random): (u8, u16, u64)) -> Event {
    let began_before_ms = if random % 2 == 0 { 0 } else { u64::from(millis) };
    match kind % 12 {
        0 => Event::Wait(u64::from(millis)),
        1 => Event::Wait(u64::from(millis) / 16),
        2 => Event::Success { began_before_ms },
        3..8 => Event::Failure { began_before_ms, random },
        8 => Event::Claim,
        9 => Event::ProbeSucceeds,
        10 => Event::ProbeFails { random },
        _ => Event::Release,
    }
}

/// A breaker with what an observer remembers of it.
struct Observed {
    breaker: Breaker,
    now: u64,
    probe: Option<ProbeId>,
}

impl Observed {
    fn new() -> Self {
        Self { breaker: Breaker::new(Trip::TARGET), now: 0, probe: None }
    }

    fn play(&mut self, event: Event) -> Option<Moved> {
        let ago = |ms: u64| Began { at_ms: self.now.saturating_sub(ms), probe: None };
        let probing = Began { at_ms: self.now, probe: self.probe };
        match event {
            Event::Wait(ms) => {
                self.now += ms;
                None
            }
            Event::Success { began_before_ms } => self.breaker.succeeded(self.now, ago(began_before_ms)),
            Event::Failure { began_before_ms, random } => {
                self.breaker.failed(self.now, ago(began_before_ms), random)
            }
            Event::Claim => {
                self.probe = self.breaker.claim(self.now).or(self.probe);
                None
            }
            Event::ProbeSucceeds => self.breaker.succeeded(self.now, probing),
            Event::ProbeFails { random } => self.breaker.failed(self.now, probing, random),
            Event::Release => {
                if let Some(probe) = self.probe.take() {
                    self.breaker.release(probe);
                }
                None
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.breaker.state(self.now) == BreakerState::Closed
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_success_never_opens_and_only_a_failure_does(events in any_history()) {
        let mut observed = Observed::new();
        for event in events {
            let was_closed = observed.is_closed();
            let moved = observed.play(event);
            let failure = matches!(event, Event::Failure { .. } | Event::ProbeFails { .. });
            prop_assert!(!was_closed || observed.is_closed() || failure, "{:?} opened it", event);
            let told = was_closed != observed.is_closed();
            prop_assert_eq!(told, matches!(moved, Some(Moved::Opened { .. } | Moved::Closed)));
        }
    }

    #[test]
    fn an_open_breaker_always_lets_a_probe_through_again(
        events in any_history(),
    ) {
        let mut observed = Observed::new();
        for event in events {
            observed.play(event);
            let mut later = observed.breaker.clone();
            let free = observed.now + LONGEST_OPEN_MS.max(PROBE_MS);
            prop_assert!(observed.is_closed() || later.claim(free).is_some());
            if let BreakerState::Open { for_ms } = observed.breaker.state(observed.now) {
                prop_assert!(for_ms <= LONGEST_OPEN_MS);
            }
        }
    }

    #[test]
    fn there_is_one_probe_at_a_time(events in any_history()) {
        let mut observed = Observed::new();
        for event in events {
            observed.play(event);
            let mut again = observed.breaker.clone();
            if again.claim(observed.now).is_some() {
                prop_assert_eq!(again.claim(observed.now), None);
                prop_assert_eq!(again.state(observed.now), BreakerState::Probing { for_ms: PROBE_MS });
            }
        }
    }

    #[test]
    fn the_end_of_a_cooldown_never_moves_earlier(
        events in proptest::collection::vec(
            (0..90_000_u64, proptest::option::of(0..1_000_000_u64), 0..200_000_u64),
            1..40,
        ),
    ) {
        let (mut cooldown, mut now, mut end) = (Cooldown::default(), 0, 0);
        for (pause, said, default) in events {
            now += pause;
            cooldown.extend(now, said.map(Duration::from_millis), Duration::from_millis(default));
            prop_assert!(now + cooldown.left_ms(now) >= end);
            end = now + cooldown.left_ms(now);
            prop_assert!((1_000..=600_000).contains(&(end - now)));
        }
    }
}
