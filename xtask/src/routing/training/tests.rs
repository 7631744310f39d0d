use baton_policy::Scorer;

use super::*;

#[test]
fn the_model_that_is_right_on_a_word_scores_higher_on_it() {
    let scorer = trained();
    let [alpha, beta] = scores(&scorer, "please compute apple 7");
    assert!(alpha > 800_000 && beta < 200_000, "{alpha} {beta}");
    let [alpha, beta] = scores(&scorer, "please compute banana 7");
    assert!(alpha < 200_000 && beta > 800_000, "{alpha} {beta}");
}

#[test]
fn the_prior_is_the_mean_of_the_kind() {
    let scorer = trained();
    assert_eq!(scorer.prior("alpha", Some(TaskKind::MathReasoning)), Some(500_000));
}

#[test]
fn the_same_data_gives_the_same_bytes() {
    let bytes = || train_models(&data(), &["alpha", "beta"]).unwrap().encode().unwrap();
    assert_eq!(bytes(), bytes());
}

#[test]
fn results_without_a_licence_leave_no_trace() {
    let mut with_others = data();
    let line = r#"{"id":"x","task":"bfcl_simple","prompt":"apple","m":{"alpha":[0],"beta":[1]}}"#;
    with_others.push(DataFile::parse("others.jsonl", line.as_bytes()).unwrap());
    let bytes = |files: &[DataFile]| train_models(files, &["alpha", "beta"]).unwrap().encode().unwrap();
    assert_eq!(bytes(&with_others), bytes(&data()));
}

#[test]
fn nothing_but_results_without_a_licence_is_refused() {
    let line = br#"{"id":"x","task":"bfcl_simple","prompt":"apple","m":{"alpha":[0]}}"#;
    let file = DataFile::parse("others.jsonl", line).unwrap();
    let error = train_models(&[file], &["alpha"]).unwrap_err();
    assert_eq!(error.to_string(), "no row of these files may be trained on");
}

#[test]
fn a_model_that_was_never_asked_is_not_shipped() {
    let file = train_models(&data(), &["alpha", "gamma", "beta"]).unwrap();
    let names: Vec<String> = file.header.models.into_iter().map(|model| model.name).collect();
    assert_eq!(names, ["alpha", "beta"]);
}

/// `alpha` is right where the prompt has an apple in it, `beta` where it has a banana.
fn data() -> Vec<DataFile> {
    let tasks = ["gsm", "math-l5"];
    let line = |number: usize| {
        let (fruit, alpha) = if number.is_multiple_of(2) { ("apple", 1) } else { ("banana", 0) };
        format!(
            r#"{{"id":"{number}","task":"{}","prompt":"please compute {fruit} {number}","m":{{"alpha":[{alpha}],"beta":[{}]}}}}"#,
            tasks[number / 2 % 2],
            1 - alpha
        )
    };
    let lines: Vec<String> = (0..400).map(line).collect();
    vec![DataFile::parse("fruit.jsonl", lines.join("\n").as_bytes()).unwrap()]
}

fn trained() -> Scorer {
    Scorer::parse(&train_models(&data(), &["alpha", "beta"]).unwrap().encode().unwrap()).unwrap()
}

fn scores(scorer: &Scorer, text: &str) -> [u32; 2] {
    let scores = scorer.score_for(text, Some(TaskKind::MathReasoning), &[0, 1]);
    [scores[0], scores[1]]
}
