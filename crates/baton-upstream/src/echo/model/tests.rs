use super::*;

#[test]
fn every_listed_name_is_a_model() {
    for name in NAMES {
        assert!(name.parse::<EchoModel>().is_ok(), "{name}");
        assert!(is_known(name));
    }
}

#[test]
fn slow_takes_its_pace_from_its_name() {
    check(
        "slow?ttft=250&tps=7",
        Ok(EchoModel::Slow { ttft: Duration::from_millis(250), tokens_per_second: 7 }),
    );
}

#[test]
fn a_bare_question_mark_changes_nothing() {
    check("slow?", "slow".parse());
}

#[test]
fn retry_after_can_be_set() {
    check("fail-429?retry_after=30", Ok(EchoModel::Fail429 { retry_after_secs: 30 }));
}

#[test]
fn midstream_can_break_with_an_error_frame() {
    check("fail-midstream?how=error", Ok(EchoModel::FailMidstream { how: Breakage::ErrorFrame }));
}

#[test]
fn an_unknown_name_is_refused() {
    check("shout", Err(ModelError::Unknown { name: "shout".to_owned() }));
    assert!(!is_known("shout"));
}

#[test]
fn a_parameter_of_another_model_is_refused() {
    check(
        "hello?tps=3",
        Err(ModelError::Parameter { model: "hello", parameter: "tps=3".to_owned(), help: "It takes none." }),
    );
}

#[test]
fn no_tokens_per_second_would_never_end() {
    assert!("slow?tps=0".parse::<EchoModel>().is_err());
    assert!("slow?ttft=600001".parse::<EchoModel>().is_err());
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "the cases read better without ampersands")]
fn check(name: &str, expected: Result<EchoModel, ModelError>) {
    assert_eq!(name.parse::<EchoModel>(), expected);
}
