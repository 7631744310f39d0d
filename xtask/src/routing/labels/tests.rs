use super::*;

#[test]
fn one_data_set_under_two_labels_is_one_family() {
    assert_eq!(label("gsm").family, label("routellm_gsm8k_responses").family);
}

#[test]
fn exams_that_are_worked_out_are_mathematics() {
    assert_eq!(label("routellm_mmlu_abstract_algebra").kind, Some(TaskKind::MathReasoning));
    assert_eq!(label("routellm_mmlu_virology").kind, Some(TaskKind::QuickAnswer));
}

#[test]
fn results_without_a_licence_are_not_trained_on() {
    assert_eq!(label("bfcl_simple"), Label { family: "bfcl", kind: Some(TaskKind::ToolUse), licence: None });
    assert_eq!(label("something-new"), Label { family: "something-new", kind: None, licence: None });
}
