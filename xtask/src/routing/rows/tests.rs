use super::*;

#[test]
fn a_score_alone_is_read() {
    assert_eq!(check("[1]"), "1 - -");
}

#[test]
fn a_score_with_its_tokens_and_answer_is_read() {
    assert_eq!(check(r#"[0, 61, "42"]"#), "0 - 61");
}

#[test]
fn a_score_with_both_tokens_is_read() {
    assert_eq!(check("[1, 229, 58, 1.137, 27]"), "1 229 58");
}

#[test]
fn an_estimate_stands_in_for_tokens_that_were_not_recorded() {
    assert_eq!(check("[1, null, null, null, 27]"), "1 - 27");
}

#[test]
fn a_score_that_was_not_recorded_is_left_out() {
    assert_eq!(check("[null, 61, null]"), "left out");
}

#[test]
fn a_part_of_a_point_is_a_score() {
    assert_eq!(check("[0.25]"), "0.25 - -");
}

#[test]
fn another_length_is_refused_with_its_place() {
    assert_eq!(check("[1, 2]"), "data, line 1: model `a`: 2 items, expected 1, 3 or 5");
}

#[test]
fn a_score_above_1_is_refused() {
    assert_eq!(check("[7]"), "data, line 1: model `a`: the score is 7, expected a number from 0 to 1");
}

#[test]
fn tokens_of_the_prompt_are_estimated_from_prompt_and_tools() {
    let line = br#"{"id":"1","task":"t","prompt":"12345678","tools":"1234","m":{}}"#;
    assert_eq!(DataFile::parse("data", line).unwrap().rows[0].input_tokens, 3.0);
}

#[test]
fn the_answer_with_tool_calls_goes_first() {
    let line =
        br#"{"id":"1","task":"t","prompt":"p","m":{"gpt-4o-2024-08-06":[0],"gpt-4o-2024-08-06-FC":[1]}}"#;
    let rows = DataFile::parse("data", line).unwrap().rows;
    assert_eq!(rows[0].outcomes["gpt-4o-2024-08-06"].score, 1.0);
}

#[test]
fn empty_lines_are_passed_over() {
    assert_eq!(DataFile::parse("data", b"\n\n").unwrap().rows.len(), 0);
}

#[test]
fn plain_and_compressed_files_read_the_same() {
    use std::io::Write;
    let folder = std::env::temp_dir().join(format!("routing-rows-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let line = br#"{"id":"1","task":"gsm","prompt":"p","m":{"a":[1]}}"#;
    let (plain, packed) = (folder.join("x.jsonl"), folder.join("x.jsonl.gz"));
    fs::write(&plain, line).unwrap();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(line).unwrap();
    fs::write(&packed, packer.finish().unwrap()).unwrap();
    let read = [plain, packed].map(|path| DataFile::read(&path).unwrap());
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(read.each_ref().map(|file| (file.name.as_str(), file.rows.len())), [("x.jsonl", 1); 2]);
    assert_eq!(read[0].sha256, read[1].sha256);
}

/// What is read of the values of model `a`: score, input and output tokens.
#[track_caller]
fn check(values: &str) -> String {
    let line = format!(r#"{{"id":"1","task":"t","prompt":"p","m":{{"a":{values}}}}}"#);
    match DataFile::parse("data", line.as_bytes()) {
        Ok(file) => {
            let Some(outcome) = file.rows[0].outcomes.get("a") else { return "left out".to_owned() };
            let tokens = |count: Option<f64>| count.map_or("-".to_owned(), |count| count.to_string());
            format!("{} {} {}", outcome.score, tokens(outcome.input_tokens), tokens(outcome.output_tokens))
        }
        Err(error) => format!("{error:#}"),
    }
}
