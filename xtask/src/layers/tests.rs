use super::*;

#[test]
fn an_arrow_down_is_fine() {
    assert_eq!(layers("baton-engine -> baton-policy"), "");
}

#[test]
fn an_arrow_up_is_found() {
    assert_eq!(
        layers("baton-policy -> baton-engine"),
        "baton-policy -> baton-engine: layer 1 may not use layer 4"
    );
}

#[test]
fn an_arrow_within_a_layer_is_found() {
    assert_eq!(layers("baton-api -> baton-config"), "baton-api -> baton-config: layer 5 may not use layer 5");
}

#[test]
fn a_crate_without_a_layer_is_found() {
    assert_eq!(layers("baton-util -> serde"), "baton-util has no layer: add it to the table");
}

#[test]
fn only_tests_use_the_testkit() {
    assert_eq!(layers("baton-api -> baton-testkit"), "baton-api -> baton-testkit: only tests may use it");
    assert_eq!(layers("baton-api -> baton-testkit (tests)"), "");
}

#[test]
fn the_testkit_may_use_any_layer() {
    assert_eq!(layers("baton-testkit -> baton-audit"), "");
}

#[test]
fn a_pure_crate_has_no_runtime() {
    assert_eq!(own("baton-tools -> tokio"), "");
    assert_eq!(own("baton-run -> tokio"), "baton-run -> tokio: a pure crate has no async, I/O or dice");
    assert_eq!(own("baton-policy -> tokio"), "baton-policy -> tokio: a pure crate has no async, I/O or dice");
    assert_eq!(own("baton-policy -> tokio (tests)"), "");
}

#[test]
fn anyhow_is_for_the_binary() {
    assert_eq!(
        own("baton-audit -> anyhow"),
        "baton-audit -> anyhow: only baton, baton-testkit, xtask may use it"
    );
    assert_eq!(own("baton -> anyhow"), "");
}

#[test]
fn what_tests_use_is_not_for_the_crate() {
    assert_eq!(own("baton -> sqlx"), "baton -> sqlx: only its tests may use it");
    assert_eq!(own("baton -> sqlx (tests)"), "");
}

#[test]
fn the_lists_of_deny_toml_are_read() {
    let text = "[licenses]\nallow = [\n  \"MIT\", # free\n  \"ISC\",\n]\n[bans]\ndeny = [\n  { crate = \"ring\" },\n  { crate = \"sqlx\", wrappers = [\"a\", \"b\"] },\n]\n";
    let deny = Deny::read(text).unwrap();
    assert_eq!(deny.licences, ["MIT", "ISC"]);
    let bans = deny.bans.iter().map(|ban| format!("{} {:?}", ban.name, ban.wrappers)).collect::<Vec<_>>();
    assert_eq!(bans, [r#"ring []"#, r#"sqlx ["a", "b"]"#]);
}

#[test]
fn one_allowed_side_of_an_or_is_enough() {
    assert!(licensed("GPL-3.0 OR MIT"));
    assert!(licensed("GPL-3.0/MIT"));
    assert!(!licensed("GPL-3.0 OR AGPL-3.0"));
}

#[test]
fn both_sides_of_an_and_are_needed() {
    assert!(licensed("(GPL-3.0 OR MIT) AND ISC"));
    assert!(!licensed("MIT AND GPL-3.0"));
    assert!(!licensed("GPL-3.0 OR MIT AND AGPL-3.0"));
}

#[test]
fn an_exception_is_part_of_the_name() {
    assert!(licensed("Apache-2.0 WITH LLVM-exception"));
    assert!(!licensed("Apache-2.0"));
    assert!(!licensed(""));
}

fn licensed(terms: &str) -> bool {
    licence::allows(&["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned), terms)
}

fn layers(edge: &str) -> String {
    layer_findings(&[parse(edge)]).join("\n")
}

fn own(edge: &str) -> String {
    own_findings(&[parse(edge)]).join("\n")
}

/// `from -> to`, then `(tests)` for an arrow of the tests.
fn parse(edge: &str) -> Edge {
    let (arrow, how) = match edge.strip_suffix(" (tests)") {
        Some(arrow) => (arrow, Use::Tests),
        None => (edge, Use::Product),
    };
    let (from, to) = arrow.split_once(" -> ").unwrap();
    Edge { from: from.to_owned(), to: to.to_owned(), how }
}
