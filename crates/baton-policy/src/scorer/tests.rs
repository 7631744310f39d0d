use super::*;
use proptest::prelude::*;

const CODE: Option<TaskKind> = Some(TaskKind::Code);

#[test]
fn the_shipped_file_is_whole() {
    let scorer = Scorer::built_in();
    assert_eq!((scorer.version(), scorer.models().count()), (1, 30));
    assert!(scorer.trained_on().iter().all(|source| source.licence == "Apache-2.0"));
}

#[test]
fn the_shipped_file_is_small() {
    assert!(include_bytes!("../../data/scorer-1.bin").len() < 150_000);
}

/// Whoever ships other weights raises the version, because decisions are replayed by it.
#[test]
fn version_1_scores_as_it_always_did() {
    let scorer = Scorer::built_in();
    let names = ["o1-mini-2024-09-12", "gpt-4o-mini-2024-07-18", "llama-3-8b-instruct"];
    let numbers: Vec<u16> = names.iter().filter_map(|name| scorer.index(name)).collect();
    let sum = "Natalia sold 48 clips in April and half as many in May. How many did she sell altogether?";
    assert_eq!(scorer.score_for(sum, Some(TaskKind::MathReasoning), &numbers), [889_322, 832_273, 624_182]);
    let code = "def f(text):\n    return text[::-1]\nassert f('abc') == ??";
    assert_eq!(scorer.score_for(code, CODE, &numbers), [999_852, 757_939, 358_361]);
    assert_eq!(scorer.score(code, &numbers), [898_966, 773_932, 534_249]);
}

#[test]
fn a_model_has_a_number() {
    let scorer = small();
    assert_eq!(scorer.models().collect::<Vec<_>>(), ["small", "large"]);
    assert_eq!((scorer.index("large"), scorer.index("other")), (Some(1), None));
}

#[test]
fn a_prior_is_that_of_the_kind() {
    assert_eq!(small().prior("large", CODE), Some(900_000));
}

#[test]
fn a_kind_that_was_not_trained_has_the_prior_over_all() {
    assert_eq!(small().prior("large", Some(TaskKind::Translate)), Some(800_000));
    assert_eq!(small().prior("large", None), Some(800_000));
}

#[test]
fn an_unknown_model_has_no_prior() {
    assert_eq!(small().prior("other", None), None);
}

#[test]
fn without_weights_a_score_is_the_prior() {
    assert_eq!(check(0, "", None), [600_000, 800_000]);
    assert_eq!(check(0, "some text", CODE), [400_000, 900_000]);
}

/// Nine words and pairs of .1 over the root of their count, and a quarter of 8 shapes of .1: together .5.
#[test]
fn words_and_shapes_add_up() {
    assert_eq!(check(100, "one two three four five", CODE), [900_000, 1_000_000]);
    assert_eq!(check(-100, "one two three four five", CODE), [0, 400_000]);
}

#[test]
fn the_text_counts_less_on_other_kinds() {
    assert_eq!(check(-100, "one two three four five", None), [350_000, 550_000]);
}

#[test]
fn a_number_that_is_no_model_scores_nothing() {
    let scorer = small();
    assert_eq!(scorer.score("text", &[9, 1, u16::MAX]), [0, 800_000, 0]);
}

#[test]
fn scores_come_in_the_order_asked() {
    assert_eq!(small().score("text", &[1, 0, 1]), [800_000, 600_000, 800_000]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_score_lies_within_bounds(text in ".{0,2000}", weight in any::<i8>(), kind in 0..14_usize) {
        let scorer = with_weight(weight);
        for kind in [None, TaskKind::ALL.get(kind).copied()] {
            let scores = scorer.score_for(&text, kind, &[0, 1]);
            prop_assert!(scores.iter().all(|score| *score <= WHOLE));
            prop_assert_eq!(scores, scorer.score_for(&text, kind, &[0, 1]));
        }
    }

    #[test]
    fn the_other_models_asked_for_do_not_matter(text in ".{0,500}") {
        let scorer = Scorer::built_in();
        let all = [0, 7, 29];
        let together = scorer.score(&text, &all);
        let alone: Vec<u32> = all.iter().flat_map(|number| scorer.score(&text, &[*number])).collect();
        prop_assert_eq!(together, alone);
    }
}

fn small() -> Scorer {
    with_weight(0)
}

/// Two models whose every weight is the same.
fn with_weight(weight: i8) -> Scorer {
    let mut file = file::tests::file();
    for row in &mut file.rows {
        *row = [weight; MAX_MODELS];
    }
    Scorer::parse(&file.encode().unwrap()).unwrap()
}

#[track_caller]
fn check(weight: i8, text: &str, kind: Option<TaskKind>) -> Vec<u32> {
    with_weight(weight).score_for(text, kind, &[0, 1])
}
