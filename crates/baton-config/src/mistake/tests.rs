use insta::assert_snapshot;

use super::*;

/// A line with its caret; `<` and `>` in it mark what is meant.
#[track_caller]
fn check(marked: &str, visibility: Visibility) -> String {
    let start = marked.chars().position(|c| c == '<').unwrap();
    let end = marked.chars().position(|c| c == '>').unwrap() - 1;
    let line: String = marked.chars().filter(|c| !matches!(c, '<' | '>')).collect();
    render(Excerpt::new(&line, start..end, visibility))
}

/// The same, where `^` stands before the character that the caret points at.
#[track_caller]
fn check_inside(marked: &str) -> String {
    let at = marked.chars().filter(|c| !matches!(c, '<' | '>')).position(|c| c == '^').unwrap();
    let unpointed = marked.replace('^', "");
    let start = unpointed.chars().position(|c| c == '<').unwrap();
    let end = unpointed.chars().position(|c| c == '>').unwrap() - 1;
    render(Excerpt::pointing(&unpointed.replace(['<', '>'], ""), start..end, at))
}

fn render(excerpt: Excerpt) -> String {
    struct Shown(Excerpt);
    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.render(7, f)
        }
    }
    Shown(excerpt).to_string()
}

#[test]
fn a_public_value_is_shown_and_its_neighbours_are_not() {
    assert_snapshot!(check(r#"  a: { api_key: "sk-abc:def", base_url: <"nope"> } # sk-old"#, Visibility::Shown), @r#"
      |
    7 |   a: { api_key: "…", base_url: "nope" } …
      |                                ^^^^^^
    "#);
}

#[test]
fn a_veiled_value_is_pointed_at() {
    assert_snapshot!(check(r#"  a: { api_key: <"sk-abc def">, b: c }"#, Visibility::Veiled), @r#"
      |
    7 |   a: { api_key: "… …", b: … }
      |                 ^^^^^
    "#);
}

#[test]
fn the_names_of_references_are_shown_and_their_defaults_are_not() {
    assert_snapshot!(check("a: <${KEY}>, b: ${KEY:-sk-abc}, c: ${file:/x}", Visibility::Veiled), @r"
      |
    7 | a: ${KEY}, b: ${KEY:-…}, c: ${file:/x}
      |    ^^^^^^
    ");
}

#[test]
fn a_url_with_a_password_is_no_key() {
    assert_snapshot!(check("database: <postgres://u:pass@h/d>", Visibility::Veiled), @r"
      |
    7 | database: …
      |           ^
    ");
}

#[test]
fn a_long_line_is_shown_around_the_caret() {
    let line = format!("a: [{}<wrong>, {}]", "x, ".repeat(200), "y, ".repeat(200));
    assert_snapshot!(check(&line, Visibility::Shown), @r"
      |
    7 |  …, …, …, …, …, …, …, …, …, …, …, …, …, wrong, …, …, …, …, …, …, …, …, …, …, …, …, …, …, …, …, …, …, …, …, …, …, …, …, …
      |                                         ^^^^^
    ");
}

#[test]
fn a_value_is_shown_whole_and_one_character_of_it_is_pointed_at() {
    assert_snapshot!(check_inside("- { name: a, when: <'turn.^numbr == 1'>, use: b }"), @r"
      |
    7 | - { name: …, when: 'turn.numbr == 1', use: … }
      |                          ^
    ");
}

#[test]
fn the_caret_is_found_in_a_long_value() {
    let line = format!("when: <{}^wrong{}>", "a || ".repeat(200), " || b".repeat(200));
    assert_snapshot!(check_inside(&line), @r"
      |
    7 | a || a || a || a || a || a || a || a || wrong || b || b || b || b || b || b || b || b || b || b || b || b || b || b || b
      |                                         ^
    ");
    assert_snapshot!(check_inside(&format!("{}when: <'a^b'>", "x: y, ".repeat(200))), @r"
      |
    7 | , x: …, x: …, x: …, x: …, x: …, when: 'ab'
      |                                         ^
    ");
}

#[test]
fn tabs_and_control_characters_do_not_move_the_caret() {
    assert_snapshot!(check("\ta\u{1b}: <b>", Visibility::Shown).replace('\t', "<tab>"), @r"
      |
    7 | <tab>… b
      | <tab>  ^
    ");
}

#[test]
fn a_place_behind_the_end_of_the_line_is_shown_there() {
    assert_snapshot!(check("ab: <>", Visibility::Veiled), @r"
      |
    7 | ab:
      |    ^
    ");
}

#[test]
fn many_mistakes_are_counted() {
    let mistakes = (1..=60).map(|line| Mistake::new(Place::Line { line, column: 1 }, "a", "wrong")).collect();
    let error = ConfigError { file: None, mistakes }.to_string();
    assert_eq!(error.matches("error: ").count(), 50);
    assert!(error.ends_with("found 60 mistakes, the first 50 are shown"), "{error}");
}
