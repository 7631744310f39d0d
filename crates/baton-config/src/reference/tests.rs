use proptest::prelude::*;

use super::*;

/// The forms that are found in a text, in their order.
#[track_caller]
fn check(text: &str) -> Vec<Form> {
    let (masked, references) = mask(text).unwrap();
    assert_eq!(masked.chars().count(), text.chars().count(), "positions stay true");
    assert_eq!(references.source(&masked), text);
    references.0.into_iter().map(|reference| reference.form).collect()
}

fn env(name: &str, default: Option<&str>) -> Form {
    Form::Env { name: name.to_owned(), default: default.map(str::to_owned) }
}

#[test]
fn the_three_forms_are_found_anywhere() {
    assert_eq!(
        check("a: ${A}\nb: {c: ${B_2:-x, y: {z}, d: \"Bearer ${_C:-}\"} # ${D}"),
        [env("A", None), env("B_2", Some("x, y: {z")), env("_C", Some("")), env("D", None)]
    );
    assert_eq!(check("${file:/run/secrets/x}"), [Form::File { path: "/run/secrets/x".to_owned() }]);
}

#[test]
fn a_doubled_dollar_is_the_text_itself() {
    assert_eq!(check("$${A} $$ $A {A}"), [Form::Literal("${A}".to_owned())]);
}

#[test]
fn what_looks_like_a_reference_and_is_none_is_malformed() {
    for text in [
        "${}",
        "${1A}",
        "${A B}",
        "${A-b}",
        "${A:b}",
        "${A?b}",
        "${ä}",
        "${file:}",
        "${A",
        "${A\n}",
        "${A:-${B}}",
    ] {
        assert!(matches!(check(text).as_slice(), [Form::Malformed { .. }, ..]), "{text}");
    }
}

#[test]
fn characters_that_stand_for_references_are_refused_in_the_file() {
    assert!(matches!(mask("ab\u{E000}"), Err(MaskError::Reserved(2))));
    assert!(matches!(mask("ä\u{F0000}"), Err(MaskError::Reserved(2))));
    let many = "${A}".repeat(LIMIT + 1);
    assert!(matches!(mask(&many), Err(MaskError::TooMany(at)) if at == 4 * LIMIT));
}

proptest! {
    #[test]
    fn masking_keeps_lines_and_columns(text in "[a$:{}\\-ä\n #]{0,60}") {
        let (masked, references) = mask(&text).unwrap();
        prop_assert_eq!(masked.matches('\n').count(), text.matches('\n').count());
        for (masked, line) in masked.lines().zip(text.lines()) {
            prop_assert_eq!(masked.chars().count(), line.chars().count());
        }
        prop_assert_eq!(references.source(&masked), text);
    }
}
