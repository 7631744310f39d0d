use super::*;

#[test]
fn a_step_says_calls_or_fails() {
    for (written, read) in [
        (r#"[{"say":"a"}]"#, r#"[Say(Text("a"))]"#),
        (r#"[{"call":[["f",{}]]}]"#, r#"[Say(Calls([("f", Object {})]))]"#),
        (r#"[{"say":"a","call":[["f",1]]}]"#, r#"[Say(TextAndCalls("a", [("f", Number(1))]))]"#),
        (r#"[{"fault":"fault-500"},{"say":""}]"#, r#"[Fault(ServerError), Say(Text(""))]"#),
        (
            r#"[{"say":"a","usage":{"input":5,"cached":4,"cache_write":0,"output":3,"reasoning":2}}]"#,
            r#"[Counted(Text("a"), Usage { input: 5, cached: 4, cache_write: 0, output: 3, reasoning: 2 })]"#,
        ),
        ("[]", "[]"),
    ] {
        assert_eq!(format!("{:?}", steps(written.as_bytes()).unwrap()), read);
    }
}

#[test]
fn what_is_no_step_is_refused() {
    for written in [
        "{}",
        "[{}]",
        r#"[{"say":"a","fault":"fault-500"}]"#,
        r#"[{"fault":"fault-x"}]"#,
        r#"[{"fault":"fault-500","usage":{"input":5,"cached":4,"cache_write":0,"output":3,"reasoning":2}}]"#,
        r#"[{"say":"a","usage":{"input":5}}]"#,
        r#"[{"sey":"a"}]"#,
        r#"[{"call":["f"]}]"#,
    ] {
        assert!(steps(written.as_bytes()).is_err(), "{written}");
    }
}
