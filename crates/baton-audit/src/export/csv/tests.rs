use super::*;
use crate::Record;
use crate::samples::{decision, outcome};

#[test]
fn a_plain_text_stays_as_it_is() {
    check("echo/hello", "echo/hello");
}

#[test]
fn a_comma_and_a_quote_are_quoted() {
    check("a,\"b\"", "\"a,\"\"b\"\"\"");
}

#[test]
fn what_a_spreadsheet_would_run_gets_an_apostrophe() {
    check("=1+1", "\"'=1+1\"");
    check("@SUM(A1)", "\"'@SUM(A1)\"");
    check("+1", "\"'+1\"");
    check("-1", "\"'-1\"");
    check("\t=1", "\"'\t=1\"");
    check("  =1", "\"'  =1\"");
    check("\r\n=1", "\"'\r\n=1\"");
}

#[test]
fn a_sign_inside_a_text_is_no_formula() {
    check("gpt-4o+", "gpt-4o+");
}

#[test]
fn every_line_has_the_columns_of_the_first() {
    let (Record::Decision(mut decided), Record::Outcome(ended)) = (decision(1), outcome(1)) else {
        panic!("they are a decision and an outcome")
    };
    decided.labels.session = Some("a, \"b\"".to_owned());
    for outcome in [OutcomeView::Running, OutcomeView::Recorded(ended)] {
        let line = csv_line(&DecisionView { decision: (*decided).clone(), outcome, corrections: Vec::new() });
        let plain = line.replace("\"a, \"\"b\"\"\"", "session");
        assert_eq!(plain.split(',').count(), CSV_HEADER.split(',').count(), "{line}");
        assert!(line.ends_with("\r\n"));
    }
}

#[track_caller]
fn check(cell: &str, expected: &str) {
    let mut line = String::new();
    push_cell(&mut line, cell);
    assert_eq!(line, expected);
}
