use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

fn check(text: &str, expected: &str) {
    assert_eq!(redact(text), expected);
    assert_eq!(redact(expected), expected, "twice");
}

#[test]
fn an_address_is_marked() {
    check("write to ada.l+x@mail.example.co.uk, today", "write to [email], today");
}

#[test]
fn a_card_with_spaces_dashes_or_neither_is_marked() {
    check("4111 1111 1111 1111 or 5500-0000-0000-0004 or 378282246310005.", "[card] or [card] or [card].");
}

#[test]
fn digits_that_are_no_card_stay() {
    check("order 4111 1111 1111 1112, id 1234567890123456", "order 4111 1111 1111 1112, id 1234567890123456");
}

#[test]
fn phones_are_marked_in_the_forms_that_people_write() {
    check(
        "+49 (0)30 1234567, 0049 30 1234567, (415) 555-2671, 415-555-2671",
        "[phone], [phone], [phone], [phone]",
    );
}

#[test]
fn keys_are_marked_by_their_form() {
    check("use sk-proj-abcdefghijklmnop0123, or AKIAIOSFODNN7EXAMPLE!", "use [key], or [key]!");
    check("authorization: Bearer abcdef0123456789abcdef", "authorization: [key]");
    check("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- after", "[key] after");
}

#[test]
fn a_key_that_was_cut_short_is_marked_to_the_end() {
    check("see -----BEGIN PRIVATE KEY-----\nMIIEvQ", "see [key]");
}

#[test]
fn plain_words_dates_numbers_and_versions_stay() {
    for text in [
        "The user asked for code, so the coder takes over at 2026-11-22T00:11:22Z.",
        "IPv4 192.168.100.200:8080, version 1.24.3-rc.1, price 1,234,567.89, 0.000123",
        "sha 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12, uuid 0198c0de-7000-8000-9000-0123456789ab",
        "dec_019356aa00007000800000000000000a and run_019356aa00007000800000000000000a",
        "a@b, @everyone, x @ y.z, sk-short, bearer of bad news, the basics",
        "2026/11/22 12:30, 12-34-56, 555-1234, 100 200 300",
    ] {
        check(text, text);
    }
}

/// None of ten thousand secrets, each in the middle of a sentence, is left.
#[test]
fn nothing_of_ten_thousand_seeded_secrets_is_left() {
    let mut dice = StdRng::seed_from_u64(20_261_122);
    let left: Vec<String> = (0..10_000)
        .map(|number| secret(&mut dice, number))
        .filter(|secret| {
            let text = format!("The caller said \u{201c}{secret}\u{201d}, so ask billing ({secret}).");
            redact(&text).contains(secret.as_str())
        })
        .collect();
    assert!(left.is_empty(), "{} are left: {:?}", left.len(), left.iter().take(5).collect::<Vec<_>>());
}

/// Of texts that people write, only those are changed that hold an address or a number to call.
#[test]
fn of_the_clean_corpus_only_addresses_and_phones_are_changed() {
    let corpus = include_str!("../../../baton-policy/data/tasks/open.jsonl");
    let changed: Vec<&str> = corpus.lines().filter(|line| redact(line) != *line).collect();
    let wrong: Vec<&&str> = changed
        .iter()
        .filter(|line| !line.contains('@') && !line.contains("phone") && !line.contains("mobile"))
        .collect();
    println!(
        "{} of {} texts were changed, {} of them wrongly",
        changed.len(),
        corpus.lines().count(),
        wrong.len()
    );
    assert!(!changed.is_empty() && wrong.is_empty(), "{wrong:?}");
}

fn secret(dice: &mut StdRng, number: usize) -> String {
    match number % 8 {
        0 => format!(
            "{}.{}@{}.example.{}",
            word(dice, 3..9),
            word(dice, 2..9),
            word(dice, 3..12),
            word(dice, 2..4)
        ),
        1 => card(dice, ""),
        2 => card(dice, if number % 16 == 2 { " " } else { "-" }),
        3 => format!(
            "+{} {} {}",
            dice.random_range(1..99),
            dice.random_range(100..999),
            dice.random_range(100_000..9_999_999)
        ),
        4 => format!(
            "({}) {}-{}",
            dice.random_range(200..999),
            dice.random_range(200..999),
            dice.random_range(1_000..9_999)
        ),
        5 => format!("sk-{}", letters(dice, 20..60)),
        6 => format!("ghp_{}", letters(dice, 36..37)),
        _ => format!("eyJ{}.eyJ{}.{}", letters(dice, 20..40), letters(dice, 20..80), letters(dice, 40..41)),
    }
}

fn word(dice: &mut StdRng, length: std::ops::Range<usize>) -> String {
    (0..dice.random_range(length)).map(|_| char::from(dice.random_range(b'a'..=b'z'))).collect()
}

fn letters(dice: &mut StdRng, length: std::ops::Range<usize>) -> String {
    const ALL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    (0..dice.random_range(length)).map(|_| char::from(ALL[dice.random_range(0..ALL.len())])).collect()
}

/// A number with a right check digit, in groups of four.
fn card(dice: &mut StdRng, between: &str) -> String {
    let mut digits = vec![dice.random_range(3..=6_u32)];
    digits.extend((0..14).map(|_| dice.random_range(0..10_u32)));
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| if place % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { *digit })
        .sum();
    digits.push((10 - sum % 10) % 10);
    let text: Vec<char> = digits.iter().filter_map(|digit| char::from_digit(*digit, 10)).collect();
    text.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(between)
}

proptest! {
    /// Whatever a text holds: it is never longer by more than the marks, and redacting it again changes nothing.
    #[test]
    fn any_text_is_redacted_once(text in "\\PC{0,200}") {
        let once = redact(&text).into_owned();
        prop_assert_eq!(redact(&once), once.as_str());
    }
}

fn check_json(mut value: Value, expected: &Value) {
    let redactor = Redactor::new(&SecretKind::ALL, &["EMP-[0-9]{6}".to_owned()]).unwrap();
    redactor.json(&mut value);
    assert_eq!(&value, expected);
    redactor.json(&mut value);
    assert_eq!(&value, expected, "twice");
}

#[test]
fn a_card_as_a_number_and_a_name_of_a_member_are_marked() {
    check_json(
        serde_json::json!({"n": 4111111111111111_u64, "a@b.example": [1, 2.5, true, null]}),
        &serde_json::json!({"n": "[card]", "[email]": [1, 2.5, true, null]}),
    );
}

#[test]
fn an_escape_within_arguments_hides_nothing() {
    check_json(
        serde_json::json!({"arguments": r#"{"to":"ada\u0040mail.example"}"#}),
        &serde_json::json!({"arguments": r#"{"to":"[email]"}"#}),
    );
}

#[test]
fn arguments_without_secrets_stay_as_they_were_written() {
    check_json(
        serde_json::json!({"arguments": "{ \"city\" : \"Berlin\" }"}),
        &serde_json::json!({"arguments": "{ \"city\" : \"Berlin\" }"}),
    );
}

#[test]
fn an_operators_own_pattern_is_marked() {
    check_json(serde_json::json!("staff EMP-123456 asks"), &serde_json::json!("staff [own] asks"));
}

#[test]
fn data_is_counted_and_not_kept() {
    let data = "QUJD".repeat(200);
    check_json(
        serde_json::json!([data, "data:image/png;base64,QUJD"]),
        &serde_json::json!(["[800 bytes of data]", "[26 bytes of data]"]),
    );
}

#[test]
fn only_the_kinds_that_were_chosen_are_marked() {
    let redactor = Redactor::new(&[SecretKind::Email], &[]).unwrap();
    assert_eq!(redactor.text("a@b.example 4111111111111111"), "[email] 4111111111111111");
}

#[test]
fn a_pattern_that_matches_everything_or_cannot_be_read_is_refused() {
    for bad in ["x*", "(", "a{99999}{99999}"] {
        assert!(Redactor::new(&[], &[bad.to_owned()]).is_err(), "{bad}");
    }
}
