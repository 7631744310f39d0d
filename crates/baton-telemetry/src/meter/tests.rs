use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};

use super::*;

#[test]
fn a_handle_is_looked_up_once_and_counts_every_time() {
    assert_eq!(check(3, &["a/one"]), ("baton_attempts_total a one ok".to_owned(), 1, 3));
}

#[test]
fn more_targets_than_are_kept_are_all_counted() {
    let targets: Vec<String> = (0..=KEPT).map(|number| format!("a/{number}")).collect();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let (_, looked_up, counted) = check(1, &targets);
    assert_eq!((looked_up, counted), (KEPT + 1, KEPT as u64 + 1));
    TARGETS.with_borrow(|known| assert!(known.len() <= KEPT));
}

/// Counts a success of each target so often: the last key that was looked up, how many were, and
/// the sum of all.
#[track_caller]
fn check(times: usize, targets: &[&str]) -> (String, usize, u64) {
    let seen = Seen::default();
    TARGETS.with_borrow_mut(HashMap::clear);
    with_local_recorder(&seen, || {
        for _ in 0..times {
            for target in targets {
                let Ok(target) = target.parse() else { unreachable!("the test names it") };
                TargetMeter::of(&target, |meter| meter.count_success(&target));
            }
        }
    });
    TARGETS.with_borrow(|known| assert!(!known.is_empty()));
    let keys = seen.keys.lock().map(|keys| keys.clone()).unwrap_or_default();
    let sum = seen.sum.lock().map(|sum| *sum).unwrap_or_default();
    (keys.last().cloned().unwrap_or_default(), keys.len(), sum)
}

/// Notes each counter that is asked for, and adds up what all of them count.
#[derive(Default)]
struct Seen {
    keys: Mutex<Vec<String>>,
    sum: Arc<Mutex<u64>>,
}

struct Sum(Arc<Mutex<u64>>);

impl CounterFn for Sum {
    fn increment(&self, value: u64) {
        if let Ok(mut sum) = self.0.lock() {
            *sum += value;
        }
    }

    fn absolute(&self, _: u64) {}
}

impl Recorder for Seen {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<&str> = key.labels().map(metrics::Label::value).collect();
        if let Ok(mut keys) = self.keys.lock() {
            keys.push(format!("{} {}", key.name(), labels.join(" ")));
        }
        Counter::from_arc(Arc::new(Sum(Arc::clone(&self.sum))))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
