use std::time::Duration;

use baton_model::FaultKind;
use baton_policy::{BreakerState, History, Latency, Next, next};

use super::*;

/// Makes attempts at one target whose provider has so many keys, each with the key whose turn it is and
/// with the probe if there is one, and tells how the target is then. `+500` lets milliseconds pass; `ok`
/// and the names of faults are how attempts end, `:700` says for how long the provider wants peace.
#[track_caller]
fn check(keys: usize, script: &str, expected: &str) {
    let mut play = Play::new();
    play.script(keys, script);
    assert_eq!(play.seen(Keys::Own(keys)), expected, "{script}");
}

#[test]
fn a_target_that_nobody_asked_is_up() {
    check(1, "", "up");
}

#[test]
fn five_server_errors_in_a_row_break_it() {
    check(1, "server_error server_error server_error server_error", "up");
    check(1, "server_error server_error server_error server_error server_error", "breaker_open 1000");
}

#[test]
fn every_kind_that_counts_against_the_target_does() {
    for kind in ["overloaded", "connect", "timeout", "malformed_answer", "truncated"] {
        check(1, &[kind; 5].join(" "), "breaker_open 1000");
    }
}

#[test]
fn when_the_time_is_up_one_request_is_the_probe() {
    let broken = "connect connect connect connect connect +1000";
    check(1, broken, "up probe");
    check(1, &format!("{broken} ok"), "up");
    check(1, &format!("{broken} connect"), "breaker_open 2000");
}

#[test]
fn a_probe_whose_end_says_nothing_makes_room_for_another() {
    let broken = "connect connect connect connect connect +1000";
    check(1, &format!("{broken} client_cancelled"), "up probe");
    check(1, &format!("{broken} invalid_request"), "up probe");
}

#[test]
fn the_only_key_that_had_too_much_rests_the_target() {
    check(1, "rate_limited:7000", "cooling 7000");
    check(1, "rate_limited", "cooling 60000");
    check(1, "rate_limited:7000 +7000", "up");
}

#[test]
fn a_rest_never_ends_earlier() {
    check(1, "rate_limited:9000 +1000 rate_limited:2000", "cooling 8000");
    check(1, "rate_limited:9000 +1000 ok", "cooling 8000");
}

#[test]
fn of_several_keys_all_must_rest() {
    check(2, "rate_limited:7000", "up");
    check(2, "rate_limited:7000 rate_limited:3000", "cooling 3000");
    check(2, "rate_limited:7000 rate_limited:3000 +3000", "up");
}

#[test]
fn a_key_without_quota_rests() {
    check(1, "quota_exhausted:7000", "cooling 7000");
    check(2, "quota_exhausted:7000", "up");
}

#[test]
fn a_key_that_is_refused_three_times_in_a_row_is_left_alone() {
    check(1, "unauthorized unauthorized", "up");
    check(1, "unauthorized unauthorized unauthorized", "no_credential 1000");
    check(1, "unauthorized unauthorized ok unauthorized", "up");
    check(1, "unauthorized unauthorized unauthorized +1000", "up");
    check(1, "unauthorized unauthorized unauthorized +1000 unauthorized", "no_credential 2000");
    check(1, "unauthorized unauthorized unauthorized +1000 ok", "up");
}

#[test]
fn refused_keys_say_nothing_of_the_target() {
    check(2, "unauthorized unauthorized unauthorized unauthorized unauthorized", "up");
    check(2, &["unauthorized"; 6].join(" "), "no_credential 1000");
}

#[test]
fn a_key_that_rests_and_a_refused_one_are_waited_for_together() {
    check(2, "unauthorized rate_limited:1500 unauthorized unauthorized", "cooling 1000");
}

#[test]
fn what_the_client_did_wrong_counts_against_nobody() {
    for kind in [
        "invalid_request",
        "context_too_long",
        "unsupported_feature",
        "model_unavailable",
        "too_large",
        "content_filtered",
        "client_cancelled",
        "client_stalled",
        "internal",
    ] {
        check(1, &[kind; 20].join(" "), "up");
    }
}

#[test]
fn the_breaker_comes_before_the_rest_and_the_keys_before_both() {
    let broken = "connect connect connect connect connect";
    check(1, &format!("{broken} rate_limited"), "breaker_open 1000");
    check(1, &format!("{broken} unauthorized unauthorized unauthorized"), "no_credential 1000");
}

#[test]
fn a_target_that_rests_is_not_probed() {
    check(1, "connect connect connect connect rate_limited:9000 connect +1000", "cooling 8000");
}

#[test]
fn another_request_sees_that_the_probe_is_taken() {
    let mut play = Play::new();
    play.script(1, "connect connect connect connect connect +1000");
    let snapshot = play.board.snapshot(&target(), Keys::Own(1), None, play.now);
    assert!(snapshot.probe.is_some());
    assert_eq!(play.seen(Keys::Own(1)), "probe_taken 30000");
    drop(snapshot);
    assert_eq!(play.seen(Keys::Own(1)), "up probe");
}

#[test]
fn of_many_at_once_one_gets_the_probe() {
    for _ in 0..50 {
        let mut play = Play::new();
        play.script(1, "connect connect connect connect connect +1000");
        let snapshots: Vec<Snapshot> = std::thread::scope(|scope| {
            let look = || play.board.snapshot(&target(), Keys::Own(1), None, play.now);
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(look)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(snapshots.iter().filter(|snapshot| snapshot.probe.is_some()).count(), 1);
        let down = |snapshot: &&Snapshot| {
            snapshot.health.down.is_some_and(|down| down.why == DownReason::ProbeTaken)
        };
        assert_eq!(snapshots.iter().filter(down).count(), 3);
    }
}

#[test]
fn a_look_claims_nothing() {
    let mut play = Play::new();
    play.script(1, "connect connect connect connect connect +1000");
    assert_eq!(play.seen(Keys::Own(1)), "up probe");
    assert_eq!(play.seen(Keys::Own(1)), "up probe");
}

#[test]
fn a_clients_own_key_is_not_judged_and_not_held_up() {
    let mut play = Play::new();
    play.script(1, "unauthorized unauthorized unauthorized rate_limited");
    assert_eq!(play.seen(Keys::Own(1)), "no_credential 1000");
    assert_eq!(play.seen(Keys::Client), "up");
    let play = Play::new();
    for kind in [FaultKind::RateLimited, FaultKind::Unauthorized, FaultKind::QuotaExhausted] {
        (0..5).for_each(|_| play.end(&mut Attempted::default(), Some(kind), None));
    }
    assert_eq!(play.seen(Keys::Own(1)), "up");
    (0..5).for_each(|_| play.end(&mut Attempted::default(), Some(FaultKind::Connect), None));
    assert_eq!(play.seen(Keys::Client), "breaker_open 1000");
}

#[test]
fn keys_take_turns_past_those_that_rest_and_those_that_were_tried() {
    let mut play = Play::new();
    let turns = |play: &Play, tried: &[usize]| -> Vec<Option<usize>> {
        let pick = |_| play.board.pick(&target(), 3, tried, play.now).map(|picked| picked.index);
        (0..4).map(pick).collect()
    };
    assert_eq!(turns(&play, &[]), [Some(0), Some(1), Some(2), Some(0)]);
    assert_eq!(turns(&play, &[2]), [Some(1), Some(0), Some(0), Some(1)]);
    play.script(3, "rate_limited:7000");
    assert_eq!(turns(&play, &[]), [Some(0), Some(1), Some(0), Some(0)]);
    assert_eq!(turns(&play, &[0, 1]), [None; 4]);
    play.now += Duration::from_secs(7);
    assert_eq!(turns(&play, &[0, 1]), [Some(2); 4]);
}

#[test]
fn a_rest_is_for_one_model_and_an_empty_account_for_all() {
    let other = || "acme/other".parse::<Target>().unwrap();
    let mut play = Play::new();
    play.script(1, "rate_limited:7000");
    assert!(play.board.pick(&other(), 1, &[], play.now).is_some());
    play.script(1, "quota_exhausted:7000");
    assert!(play.board.pick(&other(), 1, &[], play.now).is_none());
    assert_eq!(seen(play.board.view(&other(), Keys::Own(1), None, play.now)), "cooling 7000");
}

#[test]
fn a_refused_key_that_may_be_tried_again_is_tried_by_one_request() {
    let mut play = Play::new();
    play.script(1, "unauthorized unauthorized unauthorized +1000");
    let pick = |play: &Play| play.board.pick(&target(), 1, &[], play.now);
    let first = pick(&play);
    assert!(first.is_some() && pick(&play).is_none());
    assert_eq!(play.seen(Keys::Own(1)), "no_credential 30000");
    drop(first);
    assert!(pick(&play).is_some());
}

#[test]
fn where_no_key_is_left_a_last_resort_is_the_next_in_turn_and_closes_what_it_finds_well() {
    let mut play = Play::new();
    play.script(2, &["unauthorized"; 6].join(" "));
    assert!(play.board.pick(&target(), 2, &[], play.now).is_none());
    play.script(2, "ok");
    assert_eq!(play.seen(Keys::Own(2)), "up");
}

#[test]
fn other_credentials_begin_anew() {
    let mut play = Play::new();
    play.script(1, "rate_limited unauthorized unauthorized unauthorized");
    play.board.forget_credentials(&target().provider);
    assert_eq!(play.seen(Keys::Own(1)), "up");
}

#[test]
fn the_roomiest_key_is_the_headroom_and_an_unknown_one_has_all() {
    let play = Play::new();
    let headroom = |keys| play.board.view(&target(), Keys::Own(keys), None, play.now).headroom;
    assert_eq!(headroom(1), None);
    play.limit(0, 200, None);
    assert_eq!((headroom(1), headroom(2)), (Some(200), None));
    play.limit(1, 700, None);
    assert_eq!(headroom(2), Some(700));
}

#[test]
fn headroom_is_forgotten_after_a_minute() {
    let mut play = Play::new();
    play.limit(0, 200, None);
    play.now += Duration::from_secs(60);
    assert_eq!(play.board.view(&target(), Keys::Own(1), None, play.now).headroom, None);
}

#[test]
fn a_used_up_limit_shuts_the_target_until_its_reset() {
    let mut play = Play::new();
    play.limit(0, 0, Some(5_000));
    assert_eq!(play.seen(Keys::Own(1)), "no_headroom 5000");
    assert_eq!(play.seen(Keys::Own(2)), "up");
    play.now += Duration::from_secs(5);
    assert_eq!(play.seen(Keys::Own(1)), "up");
    play.limit(0, 0, Some(5_000));
    play.limit(0, 10, None);
    assert_eq!(play.seen(Keys::Own(1)), "up");
    play.limit(0, 0, Some(86_400_000));
    assert_eq!(play.seen(Keys::Own(1)), "no_headroom 600000");
}

#[test]
fn streams_are_timed_to_their_first_content_and_whole_answers_to_their_end() {
    let play = Play::new();
    for form in [Form::Stream, Form::Whole] {
        let ended = Ended {
            first_content: Some(Duration::from_millis(100)),
            total: Duration::from_millis(900),
            form,
            ..ended(None, None)
        };
        play.board.ended(&target(), &mut Attempted::default(), &ended, play.now);
    }
    let latency = |form| play.board.view(&target(), Keys::Own(1), Some(form), play.now).latency;
    assert_eq!(latency(Form::Stream), Some(Latency { p50_ms: 108, p95_ms: 108, samples: 1 }));
    assert_eq!(latency(Form::Whole), Some(Latency { p50_ms: 1_024, p95_ms: 1_024, samples: 1 }));
    assert_eq!(play.board.view(&target(), Keys::Own(1), None, play.now).latency, None);
}

#[test]
fn what_is_switched_by_hand_comes_first_and_the_stricter_counts() {
    let mut play = Play::new();
    play.script(1, "connect connect connect connect connect");
    let one = Scope::Target(target());
    let all = Scope::Provider(target().provider);
    assert_eq!(play.board.set_manual(&all, Manual::Drained), Manual::On);
    assert_eq!(play.seen(Keys::Own(1)), "drained 0");
    play.board.set_manual(&one, Manual::Disabled);
    assert_eq!(play.seen(Keys::Own(1)), "disabled 0");
    let saved = play.board.manual();
    assert_eq!(play.board.set_manual(&one, Manual::On), Manual::Disabled);
    assert_eq!(play.seen(Keys::Own(1)), "drained 0");
    play.board.set_manual(&all, Manual::On);
    assert_eq!(play.seen(Keys::Own(1)), "breaker_open 1000");
    assert!(play.board.manual().is_empty());
    play.board.restore(saved);
    assert_eq!(play.seen(Keys::Client), "disabled 0");
}

#[test]
fn a_target_switched_off_by_hand_is_not_probed() {
    let mut play = Play::new();
    play.script(1, "connect connect connect connect connect +1000");
    play.board.set_manual(&Scope::Target(target()), Manual::Drained);
    assert!(play.board.snapshot(&target(), Keys::Own(1), None, play.now).probe.is_none());
}

#[test]
fn scopes_are_saved_as_they_are_written() {
    for text in ["openai", "openai/gpt-4.1", "acme/org/model"] {
        let scope: Scope = text.parse().unwrap();
        let saved = serde_json::to_string(&scope).unwrap();
        assert_eq!(saved, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Scope>(&saved).unwrap(), scope);
    }
    assert!("".parse::<Scope>().is_err());
    assert!("/model".parse::<Scope>().is_err());
}

#[test]
fn the_states_show_what_is_known() {
    let mut play = Play::new();
    play.script(2, "rate_limited:7000 connect connect connect connect connect");
    play.limit(1, 300, None);
    play.board.set_manual(&Scope::Provider(target().provider), Manual::Drained);
    let state = TargetState {
        target: target(),
        manual: Manual::Drained,
        breaker: BreakerState::Open { for_ms: 1_000 },
        credentials: vec![
            CredentialState { breaker: BreakerState::Closed, cooling_ms: 7_000, headroom: None },
            CredentialState { breaker: BreakerState::Closed, cooling_ms: 0, headroom: Some(300) },
        ],
        stream: None,
        whole: None,
    };
    assert_eq!(play.board.states(play.now), [state]);
}

#[test]
fn a_request_of_a_client_that_errs_leaves_no_trace_in_ten_thousand_histories() {
    const OURS: [&str; 8] = [
        "ok",
        "connect connect",
        "connect connect connect server_error",
        "rate_limited:3000",
        "unauthorized",
        "unauthorized unauthorized",
        "quota_exhausted:2000",
        "+700",
    ];
    const THEIRS: [&str; 5] =
        ["invalid_request", "too_large", "content_filtered", "client_cancelled", "context_too_long"];
    let mut dice = Dice(7);
    for _ in 0..10_000 {
        let (mut with, mut without) = (Play::new(), Play::new());
        without.now = with.now;
        without.board.epoch = with.board.epoch;
        for _ in 0..6 {
            let ours = dice.one_of(&OURS);
            with.script(1, ours);
            without.script(1, ours);
            with.script(1, dice.one_of(&THEIRS));
        }
        assert_eq!(with.seen(Keys::Own(1)), without.seen(Keys::Own(1)));
        let states = |play: &Play| {
            play.board.states(play.now).iter().map(|state| format!("{state:?}")).collect::<String>()
        };
        assert_eq!(states(&with), states(&without));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_provider_is_hardly_asked_and_is_found_again_when_it_heals() {
    let board = HealthBoard { dice: || 0, ..HealthBoard::default() };
    let mut asked = Vec::new();
    // 200 requests a second: dead for thirty seconds, then well.
    for request in 0..14_000_u32 {
        let second = request / 200;
        asked.resize(usize::try_from(second).unwrap() + 1, 0_u32);
        *asked.last_mut().unwrap() += attempts_on_dead(&board, second < 30);
        tokio::time::advance(Duration::from_millis(5)).await;
    }
    let while_dead: u32 = asked[1..30].iter().sum();
    assert!(asked[0] <= 50, "{asked:?}");
    assert!(while_dead <= 29, "after it opened there are only probes: {asked:?}");
    let well = asked.iter().skip(30).position(|asked| *asked == 200);
    assert!(well.is_some_and(|seconds| seconds <= 31), "{asked:?}");
    assert!(asked.iter().all(|asked| *asked <= 200), "{asked:?}");
}

/// One request whose first target is dead or well and whose second answers; how often the first was asked.
fn attempts_on_dead(board: &HealthBoard, dead: bool) -> u32 {
    let now = Instant::now();
    let mut snapshot = board.snapshot(&target(), Keys::Own(1), None, now);
    board.note_request(&target().provider);
    let mut attempts = 0;
    while snapshot.health.down.is_none() {
        attempts += 1;
        let fault = dead.then_some(FaultKind::Connect);
        let mut attempted =
            Attempted { credential: board.pick(&target(), 1, &[], now), probe: snapshot.probe.take() };
        board.ended(&target(), &mut attempted, &ended(fault, None), now);
        let history = History {
            attempts_on_target: attempts,
            retries: 2,
            credentials_left: false,
            others_left: true,
            budget: true,
            random: 0,
            time_left: Duration::from_secs(60),
        };
        let again = dead && matches!(next(FaultKind::Connect, None, &history), Next::Retry { .. });
        if !again || !board.claim_retry(&target().provider) {
            break;
        }
        snapshot = board.snapshot(&target(), Keys::Own(1), None, now);
    }
    attempts
}

#[tokio::test(start_paused = true)]
async fn a_quiet_provider_has_ten_retries_then_ten_a_second() {
    let health = ProviderHealth::default();
    assert_eq!(claims(&health, 50), 10);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(claims(&health, 50), 10);
}

#[tokio::test(start_paused = true)]
async fn a_busy_provider_may_retry_a_fifth_more() {
    let health = ProviderHealth::default();
    for _ in 0..100 {
        health.note_request();
    }
    assert_eq!(claims(&health, 100), 30);
}

#[test]
fn credentials_take_turns() {
    let health = ProviderHealth::default();
    assert_eq!((0..4).map(|_| health.credential(3)).collect::<Vec<_>>(), [0, 1, 2, 0]);
    assert_eq!(health.credential(0), 0);
}

fn claims(health: &ProviderHealth, tries: usize) -> usize {
    (0..tries).filter(|_| health.claim_retry()).count()
}

/// A board, and a clock that is set by hand.
struct Play {
    board: HealthBoard,
    now: Instant,
}

impl Play {
    fn new() -> Self {
        let board = HealthBoard { dice: || 0, ..HealthBoard::default() };
        let now = board.epoch + Duration::from_secs(100);
        Self { board, now }
    }

    fn script(&mut self, keys: usize, script: &str) {
        for word in script.split_whitespace() {
            if let Some(ms) = word.strip_prefix('+') {
                self.now += Duration::from_millis(ms.parse().unwrap());
                continue;
            }
            let (kind, said) = word.split_once(':').map_or((word, None), |(kind, ms)| (kind, Some(ms)));
            let said = said.map(|ms| Duration::from_millis(ms.parse().unwrap()));
            let fault = (kind != "ok").then(|| serde_json::from_str(&format!("\"{kind}\"")).unwrap());
            let picked = self.board.pick(&target(), keys, &[], self.now);
            let mut attempted = Attempted {
                credential: Some(picked.unwrap_or_else(|| self.board.last_resort(&target(), keys))),
                probe: self.board.snapshot(&target(), Keys::Own(keys), None, self.now).probe,
            };
            self.end(&mut attempted, fault, said);
        }
    }

    fn end(&self, attempted: &mut Attempted, fault: Option<FaultKind>, said: Option<Duration>) {
        self.board.ended(&target(), attempted, &ended(fault, said), self.now);
    }

    fn limit(&self, key: usize, remaining_thousandths: u32, exhausted_ms: Option<u64>) {
        let exhausted_for = exhausted_ms.map(Duration::from_millis);
        self.board.note_limits(&target(), key, Limits { remaining_thousandths, exhausted_for }, self.now);
    }

    fn seen(&self, keys: Keys) -> String {
        seen(self.board.view(&target(), keys, None, self.now))
    }
}

fn seen(health: Health) -> String {
    match health.down {
        Some(down) => {
            let why = serde_json::to_string(&down.why).unwrap();
            format!("{} {}", why.trim_matches('"'), down.for_ms)
        }
        None if health.probe => "up probe".to_owned(),
        None => "up".to_owned(),
    }
}

fn target() -> Target {
    "acme/model".parse().unwrap()
}

fn ended(fault: Option<FaultKind>, retry_after: Option<Duration>) -> Ended {
    Ended {
        fault,
        retry_after,
        default_cooldown: Duration::from_secs(60),
        first_content: None,
        total: Duration::ZERO,
        form: Form::Stream,
    }
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        words[usize::try_from(self.0 >> 33).unwrap() % words.len()]
    }
}
