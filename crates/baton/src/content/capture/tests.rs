use super::*;

fn check(text: &str, expected: &str) {
    assert_eq!(text.get(..whole_words(text)).unwrap(), expected);
}

#[test]
fn the_last_word_of_what_was_cut_may_be_a_piece_of_something() {
    check("write to ada@mail.exam", "write to ");
    check("the key is sk-proj-abc", "the key is ");
}

#[test]
fn groups_of_digits_before_the_end_go_with_it() {
    check("the card is 4111 1111 1111 11", "the card is ");
    check("call +49 30 1234", "call ");
    check("Karte: 4111 1111, und", "Karte: ");
}

#[test]
fn a_long_word_goes_whole() {
    check(&format!("token {}", "x".repeat(1_000)), "token ");
}

#[test]
fn plain_words_before_the_last_one_stay() {
    check("one two three", "one two ");
    check("one, two, thr", "one, two, ");
}

#[test]
fn words_of_scripts_without_spaces_and_of_json_end_too() {
    check("北京 a@b.c", "北京 ");
    check(r#"{"city":"Berlin","to":"ada@ma"#, r#"{"city":"Berlin","to":""#);
}
