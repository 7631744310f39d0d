use super::*;

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
