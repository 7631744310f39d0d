use std::sync::atomic::AtomicUsize;
use std::thread;

use super::*;
use crate::UNLIMITED;

fn principal(gate: &Arc<Gate>, concurrency: Option<u32>) -> Principal {
    let grant = Grant { concurrency, ..UNLIMITED };
    let gate = Arc::clone(gate);
    Principal::new(Arc::new(Caller { id: PrincipalId::Anonymous, name: "test".to_owned(), grant, gate }))
}

#[test]
fn a_place_is_free_again_when_its_permit_is_dropped() {
    let principal = principal(&Arc::default(), Some(2));
    let first = principal.admit().unwrap();
    let _second = principal.admit().unwrap();
    assert_eq!(principal.admit().unwrap_err(), Busy { limit: 2 });
    drop(first);
    let _third = principal.admit().unwrap();
    assert_eq!(principal.admit().unwrap_err().to_string(), "this key may have 2 requests open at once");
    assert_eq!(principal.open_requests(), 2);
}

#[test]
fn a_lowered_limit_counts_what_is_open_already() {
    let gate = Arc::default();
    let before = principal(&gate, Some(3));
    let open: Vec<_> = (0..3).map(|_| before.admit().unwrap()).collect();
    let after = principal(&gate, Some(2));
    assert!(after.admit().is_err());
    drop(open);
    let _first = after.admit().unwrap();
    let _second = after.admit().unwrap();
    assert!(after.admit().is_err());
}

#[test]
fn without_a_limit_everybody_is_counted_and_nobody_is_refused() {
    let principal = principal(&Arc::default(), None);
    let permits: Vec<_> = (0..1_000).map(|_| principal.admit().unwrap()).collect();
    assert_eq!(principal.open_requests(), 1_000);
    drop(permits);
    assert_eq!(principal.open_requests(), 0);
}

#[test]
fn threads_together_never_pass_the_limit() {
    let gate: Arc<Gate> = Arc::default();
    let inside = AtomicUsize::new(0);
    let most = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let principal = principal(&gate, Some(3));
                for _ in 0..2_000 {
                    if let Ok(_permit) = principal.admit() {
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert!((1..=3).contains(&most.into_inner()));
    assert_eq!(principal(&gate, None).open_requests(), 0);
}

#[test]
fn an_id_reads_back_as_it_is_shown() {
    for shown in ["anonymous", "key_0190d4ff5a7c7000800000000000002a"] {
        let id: PrincipalId = shown.parse().unwrap();
        assert_eq!(id.to_string(), shown);
        assert_eq!(serde_json::from_str::<PrincipalId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
    }
    assert_eq!(
        "bob".parse::<PrincipalId>().unwrap_err().to_string(),
        "`bob` is not an id of the form `key_…`"
    );
}
