use super::*;

#[test]
fn the_hash_is_the_one_that_weights_were_trained_with() {
    assert_eq!(check("Fix the bug"), "184 3152 4072 3347 3928 | 4 16 24 32 44 48 59 64");
}

#[test]
fn an_empty_text_has_a_shape_only() {
    assert_eq!(check(""), " | 0 16 24 32 40 48 56 64");
}

#[test]
fn case_and_figures_do_not_matter_to_words() {
    assert_eq!(words("Add 17 APPLES"), words("add 42 apples"));
}

#[test]
fn the_length_of_a_number_matters() {
    assert_ne!(words("add 7"), words("add 42"));
}

#[test]
fn a_word_that_comes_again_counts_once() {
    let once = words("echo echo");
    assert_eq!(words("echo echo echo"), once);
}

#[test]
fn the_order_of_words_matters() {
    assert_ne!(words("dog bites man"), words("man bites dog"));
}

#[test]
fn only_the_first_8_kb_are_read() {
    let long = "word ".repeat(2 * READ);
    assert_eq!(TextFeatures::of(&long, 12), TextFeatures::of(&format!("{long}other end?"), 12));
}

#[test]
fn a_text_cut_within_a_letter_is_read() {
    let text = "ä".repeat(READ);
    assert_eq!(words(&format!("x{text}")).len(), 1);
}

#[test]
fn every_feature_has_its_row() {
    let texts = ["", "?", "1+1=2\n\n\n", "ÄÖÜ", &"A".repeat(9000), &"\n".repeat(9000), &"9?".repeat(5000)];
    for text in texts {
        for bits in [8, 12, 14] {
            let features = TextFeatures::of(text, bits);
            assert!(features.buckets().iter().all(|bucket| usize::from(*bucket) < 1 << bits));
            assert!(features.shapes().iter().all(|row| usize::from(*row) < SHAPE_ROWS));
        }
    }
}

fn words(text: &str) -> Vec<u16> {
    let mut words = TextFeatures::of(text, 12).buckets().to_vec();
    words.sort_unstable();
    words
}

#[track_caller]
fn check(text: &str) -> String {
    let features = TextFeatures::of(text, 12);
    let list = |numbers: &[u16]| numbers.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
    format!("{} | {}", list(features.buckets()), list(features.shapes()))
}
