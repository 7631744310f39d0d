use baton_policy::{PolicyDocument, PolicyRef};

use super::*;

fn policy(version: &str) -> Arc<Policy> {
    let reference = PolicyRef { name: "p".to_owned(), version: version.to_owned() };
    Arc::new(Policy::new(reference, PolicyDocument::default()).unwrap())
}

fn stored(percent: u8) -> StoredPolicies {
    let canary = Some((policy("new"), percent));
    [StoredPolicy { active: policy("old"), canary, shadow: Some(policy("trial")) }].into_iter().collect()
}

/// How many of a thousand conversations get the canary at this share.
fn check(percent: u8) -> usize {
    let stored = stored(percent);
    (0..1_000).filter(|number| draws_canary(&stored, "key_a", *number)).count()
}

fn draws_canary(stored: &StoredPolicies, principal: &str, session: u32) -> bool {
    stored.draw("p", principal, &format!("s-{session}")).unwrap().reference.version == "new"
}

#[test]
fn the_share_is_about_what_was_asked_for() {
    for percent in [1, 5, 25, 50, 75, 99] {
        let expected = usize::from(percent) * 10;
        assert!(check(percent).abs_diff(expected) <= 50, "{percent} %: {}", check(percent));
    }
    assert_eq!(check(100), 1_000);
}

#[test]
fn a_larger_share_keeps_those_who_had_it() {
    let (small, large) = (stored(20), stored(60));
    let kept = (0..1_000).filter(|number| draws_canary(&small, "key_a", *number));
    assert!(kept.into_iter().all(|number| draws_canary(&large, "key_a", number)));
}

#[test]
fn callers_and_policies_draw_for_themselves() {
    let stored = stored(50);
    let alike = (0..1_000)
        .filter(|number| draws_canary(&stored, "key_a", *number) == draws_canary(&stored, "key_b", *number));
    assert!((400..600).contains(&alike.count()));
    assert_ne!(lot(&["ab", "c", ""]), lot(&["a", "bc", ""]));
}

#[test]
fn the_draw_is_the_same_on_every_machine() {
    let lots: Vec<u8> =
        ["a", "b", "c", "d"].iter().map(|session| lot(&["p", "anonymous", session])).collect();
    assert_eq!(lots, [15, 94, 64, 57]);
}

#[test]
fn only_what_the_store_planned_is_compared() {
    let stored = stored(50);
    let trial = |version: &str| stored.shadow(&policy(version)).map(|it| it.reference.version.clone());
    assert_eq!(trial("old").as_deref(), Some("trial"));
    assert_eq!(trial("new").as_deref(), Some("trial"));
    assert_eq!(trial("of-the-file"), None);
}
