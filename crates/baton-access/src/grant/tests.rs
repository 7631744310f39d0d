use super::*;

fn grant(text: &str) -> Grant {
    let mut grant = UNLIMITED;
    for word in text.split_whitespace() {
        match word.split_once('=') {
            Some(("role", role)) => grant.role = role.parse().unwrap(),
            Some(("models", list)) => grant.models = Some(list.split(',').map(str::to_owned).collect()),
            Some(("at_once", limit)) => grant.concurrency = Some(limit.parse().unwrap()),
            Some(("until", end)) => grant.expires_ms = Some(end.parse().unwrap()),
            _ if word == "no_byok" => grant.byok = false,
            _ => panic!("unknown word {word}"),
        }
    }
    grant
}

#[track_caller]
fn check(maker: &str, wanted: &str) -> String {
    grant(maker).covers(&grant(wanted)).map_or_else(|exceeds| exceeds.to_string(), |()| "covered".to_owned())
}

#[test]
fn the_operator_may_make_any_key() {
    assert_eq!(check("", ""), "covered");
    assert_eq!(check("", "role=use models=a at_once=1 until=5 no_byok"), "covered");
}

#[test]
fn a_key_may_make_its_like() {
    let all = "role=viewer models=a,b/* at_once=3 until=5 no_byok";
    assert_eq!(check(all, all), "covered");
}

#[test]
fn a_stronger_role_exceeds() {
    assert_eq!(check("role=viewer", "role=admin"), "role `admin` exceeds the maker's role `viewer`");
    assert_eq!(check("role=viewer", "role=use"), "covered");
}

#[test]
fn models_stay_within_the_makers_list() {
    assert_eq!(
        check("models=a", ""),
        "the maker may use a list of models only, so the new key needs a list too"
    );
    assert_eq!(check("models=a", "models=a,b"), "model `b` is not among the maker's models");
    assert_eq!(check("models=openai/*", "models=openai/gpt-4o,openai/o*"), "covered");
    assert_eq!(check("models=openai/*", "models=open*"), "model `open*` is not among the maker's models");
    assert_eq!(
        check("models=openai/gpt", "models=openai/gpt*"),
        "model `openai/gpt*` is not among the maker's models"
    );
    assert_eq!(check("models=openai/*", "models=*"), "model `*` is not among the maker's models");
    assert_eq!(check("models=*", "models=*,x"), "covered");
}

#[test]
fn own_provider_keys_need_the_makers_right() {
    assert_eq!(check("no_byok", ""), "the maker may not bring provider keys of its own");
}

#[test]
fn limits_stay_within_the_makers() {
    assert_eq!(
        check("at_once=2", ""),
        "the maker may have 2 requests open at once, the new key cannot have more"
    );
    assert_eq!(
        check("at_once=2", "at_once=3"),
        "the maker may have 2 requests open at once, the new key cannot have more"
    );
    assert_eq!(check("at_once=2", "at_once=2"), "covered");
    assert_eq!(check("until=5", ""), "the new key cannot outlive its maker");
    assert_eq!(check("until=5", "until=6"), "the new key cannot outlive its maker");
    assert_eq!(check("until=5", "until=5"), "covered");
}

/// Whether an allow-list lets a model through, as the planner reads it.
fn allows(models: Option<&Vec<String>>, name: &str) -> bool {
    let matches = |pattern: &String| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    };
    models.is_none_or(|models| models.iter().any(matches))
}

proptest::proptest! {
    #[test]
    fn a_covered_list_lets_nothing_through_that_its_makers_does_not(
        has in proptest::option::of(proptest::collection::vec("[ab]{0,2}\\*?", 1..4)),
        wanted in proptest::option::of(proptest::collection::vec("[ab]{0,2}\\*?", 1..4)),
        name in "[ab]{1,4}",
    ) {
        let [maker, wanted] = [has, wanted].map(|models| Grant { models, ..UNLIMITED });
        let is_covered = maker.covers(&wanted).is_ok();
        proptest::prop_assert!(!is_covered || !allows(wanted.models.as_ref(), &name) || allows(maker.models.as_ref(), &name));
        proptest::prop_assert!(maker.covers(&maker).is_ok());
    }
}
