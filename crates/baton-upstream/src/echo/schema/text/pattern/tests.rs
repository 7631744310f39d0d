use super::*;

#[test]
fn literals_and_anchors_stand_for_themselves() {
    check("^abc$", Some("abc"));
}

#[test]
fn counted_digits_are_counted() {
    check(r"^\d{5}(-\d{4})?$", Some("00000"));
}

#[test]
fn classes_give_their_first_letter() {
    check("^[A-Z]{2}[_-][a-z0-9]+$", Some("AA_a"));
}

#[test]
fn a_negated_class_gives_what_is_left() {
    check("[^a-y0]", Some("z"));
}

#[test]
fn the_first_alternative_is_taken() {
    check("^(?:red|green)-(?<n>1|2)$", Some("red-1"));
}

#[test]
fn an_escaped_dot_is_a_dot() {
    check(r"v\d+\.\d+", Some("v0.0"));
}

#[test]
fn an_open_class_with_a_bracket_first_is_read() {
    check("[]x]", Some("]"));
}

#[test]
fn look_around_has_no_answer() {
    check("^(?=x)y$", None);
}

#[test]
fn broken_patterns_have_no_answer() {
    for pattern in ["(", "[a", "a{", "*", r"\p{L}", "a)"] {
        check(pattern, None);
    }
}

#[test]
fn a_quantifier_grows_to_the_least_length() {
    let made = example("^x[a-z]*$", Limits { least: 8, most: None });
    assert_eq!(made.as_deref(), Some("xaaaaaaa"));
}

#[test]
fn a_quantifier_that_cannot_grow_stays_short() {
    let made = example("^x[a-z]{0,3}$", Limits { least: 8, most: None });
    assert_eq!(made.as_deref(), Some("xaaa"));
}

#[test]
fn a_long_text_is_made_at_once() {
    let made = example("^(ab)*$", Limits { least: 9_999, most: None }).unwrap_or_default();
    assert_eq!(made.len(), 10_000);
}

#[test]
fn endless_repetition_is_cut() {
    let made = example("((a{900}){900}){900}", Limits { least: 0, most: None }).unwrap_or_default();
    assert!(made.len() < 2 * LONGEST, "{}", made.len());
}

#[track_caller]
fn check(pattern: &str, expected: Option<&str>) {
    assert_eq!(example(pattern, Limits { least: 0, most: None }).as_deref(), expected);
}
