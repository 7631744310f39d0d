use super::*;

/// Notes times in milliseconds, one a millisecond, and reads them at once: `p50 p95 samples`.
#[track_caller]
fn check(took_ms: impl IntoIterator<Item = u64>, expected: &str) {
    let mut sketch = Sketch::default();
    for took in took_ms {
        sketch.note(Duration::from_millis(took), 0);
    }
    assert_eq!(read(&sketch, 0), expected);
}

fn read(sketch: &Sketch, at_ms: u64) -> String {
    sketch.read(at_ms).map_or_else(
        || "nothing".to_owned(),
        |latency| format!("{} {} {}", latency.p50_ms, latency.p95_ms, latency.samples),
    )
}

#[test]
fn nothing_is_known_before_the_first_answer() {
    check([], "nothing");
}

#[test]
fn one_answer_is_all_quantiles_at_once() {
    check([100], "108 108 1");
}

#[test]
fn half_were_quicker_than_the_one_and_few_slower_than_the_other() {
    check((0..100).map(|at| if at < 90 { 100 } else { 3_000 }), "108 3445 100");
    check(1..=1_000, "512 1024 1000");
}

#[test]
fn a_quantile_is_never_too_low_and_at_most_a_fifth_too_high() {
    for took in (1..200_000).step_by(37) {
        let mut sketch = Sketch::default();
        sketch.note(Duration::from_millis(took), 0);
        let found = sketch.read(0).map_or(0, |latency| latency.p50_ms);
        assert!(found >= took && found <= took + took / 5 + 1, "{took} ms were read as {found}");
    }
}

#[test]
fn what_is_quicker_or_slower_than_all_buckets_stands_in_the_outermost() {
    check([0], "1 1 1");
    check([u64::MAX / 1_000], "881853 881853 1");
}

#[test]
fn half_is_forgotten_after_a_minute() {
    let mut sketch = Sketch::default();
    (0..100).for_each(|_| sketch.note(Duration::from_millis(10), 0));
    assert_eq!(read(&sketch, 60_000), "12 12 50");
    assert_eq!(read(&sketch, 120_000), "12 12 25");
    assert_eq!(read(&sketch, 900_000), "nothing");
}

#[test]
fn what_is_new_outweighs_what_is_old() {
    let mut sketch = Sketch::default();
    (0..40).for_each(|_| sketch.note(Duration::from_millis(1_000), 0));
    (0..30).for_each(|_| sketch.note(Duration::from_millis(10), 120_000));
    assert_eq!(read(&sketch, 120_000), "12 1024 40");
}
