use super::*;
use crate::routing::training;

/// Rows as `baton audit lessons` prints them.
fn told(count: usize, text: bool, kind: &str) -> DataFile {
    let line = |number: usize| {
        let (fruit, alpha) = if number.is_multiple_of(2) { ("apple", 1) } else { ("banana", 0) };
        let prompt = if text { format!("please compute {fruit} {number}") } else { String::new() };
        format!(
            r#"{{"task":"audit:{kind}","prompt":"{prompt}","in_tok":5,"m":{{"alpha":[{alpha}],"beta":[{}]}}}}"#,
            1 - alpha
        )
    };
    let lines: Vec<String> = (0..count).map(line).collect();
    DataFile::parse("audit", lines.join("\n").as_bytes()).unwrap()
}

fn check(lessons: &DataFile, is_alone: bool, expected: Result<&str, &str>) {
    match (enough(lessons, is_alone), expected) {
        (Ok(said), Ok(part)) => assert!(said.contains(part), "{said}"),
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
        (found, _) => panic!("{found:?}, expected {expected:?}"),
    }
}

#[test]
fn too_little_is_told() {
    check(&told(12, true, "code"), false, Err("12 decisions with feedback"));
    check(&told(0, true, "code"), true, Err("0 decisions with feedback"));
}

#[test]
fn rows_of_no_known_kind_do_not_count() {
    check(&told(400, true, "no-such-kind"), false, Err("0 decisions with feedback"));
}

#[test]
fn rows_without_text_do_beside_the_public_outcomes_only() {
    check(&told(400, false, "code"), false, Ok("400 by their kind of task alone"));
    check(&told(400, false, "code"), true, Err("audit.capture.content"));
}

#[test]
fn one_model_is_no_choice() {
    let line = r#"{"task":"audit:code","prompt":"x","m":{"alpha":[1]}}"#;
    let file = DataFile::parse("audit", vec![line; 300].join("\n").as_bytes()).unwrap();
    check(&file, false, Err("1 models"));
}

#[test]
fn what_was_said_of_a_model_of_ones_own_is_learned() {
    let lessons = told(400, true, "code");
    check(&lessons, true, Ok("400 rows teach by their text"));
    let file = training::train(&[lessons]).unwrap();
    let names: Vec<&str> = file.header.models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, ["alpha", "beta"]);
    assert_eq!(file.header.trained_on[0].licence, "the operator's own");
    let scorer = baton_policy::Scorer::parse(&file.encode().unwrap()).unwrap();
    let kind = Some(baton_policy::TaskKind::Code);
    let [apple, banana] = ["please compute apple 7", "please compute banana 7"]
        .map(|text| scorer.score_for(text, kind, &[0, 1]));
    assert!(apple[0] > apple[1] && banana[0] < banana[1], "{apple:?} {banana:?}");
}
