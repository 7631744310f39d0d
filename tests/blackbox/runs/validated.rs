//! What the answer of a run has to be: looked at in three ways, and what follows where it is not.

use serde_json::{Value, json};

use super::{are_whole, decided, events_of, id_of, names, param, started};
use crate::blackbox::handoff::{saw, says, says_next, scripted};
use crate::blackbox::support::{Baton, run};

fn schema() -> Value {
    json!({"type": "object", "required": ["total"], "properties": {"total": {"type": "integer"}}})
}

#[test]
fn an_answer_that_does_not_follow_its_schema_is_asked_for_again() {
    run(async {
        let fixture = scripted(vec![says("Seven."), says(r#"{"total": 7}"#)], Vec::new(), "").await;
        let validation = json!({"schema": schema(), "on_failure": "retry"});
        let done =
            started(&fixture.baton, json!({"model": "oai/fake", "input": "Add", "validation": validation}))
                .await;
        assert_eq!(
            (&done["status"], &done["output"]["text"]),
            (&json!("completed"), &json!(r#"{"total": 7}"#)),
            "{done}"
        );
        let check = &done["checks"][0];
        assert_eq!((&check["attempt"], &check["then"]), (&json!(1), &json!("retry")), "{done}");
        let asked = saw(&fixture, "oai/fake")[1].json()["messages"].clone();
        let roles: Vec<&str> =
            asked.as_array().unwrap().iter().map(|one| one["role"].as_str().unwrap()).collect();
        assert_eq!(roles, ["user", "assistant", "user"], "{asked}");
        assert_eq!(asked[1]["content"], "Seven.", "it sees what it said, and what is wrong with it: {asked}");
        assert!(asked[2]["content"].as_str().unwrap().contains("cannot be taken"), "{asked}");
        let told = events_of(&fixture.baton, &id_of(&done), None).await;
        are_whole(&told);
        assert_eq!(names(&told).iter().filter(|name| **name == "validation").count(), 1);
        let decisions = decided(&fixture.baton, &id_of(&done)).await;
        assert_eq!(decisions[..2], ["select oai/fake", "retry -"], "{decisions:?}");
        assert_eq!((decisions.len(), &done["turns_consumed"]), (3, &json!(2)));
    });
}

#[test]
fn an_answer_that_stays_wrong_fails_the_run() {
    run(async {
        let fixture = scripted(vec![says("no"), says("no"), says("no"), says("no")], Vec::new(), "").await;
        let body = |validation: Value| json!({"model": "oai/fake", "input": "x", "validation": validation});
        let twice = json!({"cel": "output == 'yes'", "on_failure": "retry", "times": 2});
        let failed = started(&fixture.baton, body(twice)).await;
        assert_eq!(
            (&failed["status"], &failed["error"]["code"]),
            (&json!("failed"), &json!("validation_failed"))
        );
        assert_eq!(failed["checks"].as_array().unwrap().len(), 3, "{failed}");
        assert_eq!(saw(&fixture, "oai/fake").len(), 3);
        let at_once = started(&fixture.baton, body(json!({"cel": "output == 'yes'"}))).await;
        assert_eq!(at_once["status"], "failed", "{at_once}");
        assert_eq!(saw(&fixture, "oai/fake").len(), 4, "nobody is asked again");
        assert_eq!(decided(&fixture.baton, &id_of(&at_once)).await, ["select oai/fake", "stop -"]);
    });
}

#[test]
fn another_one_takes_over_whose_answer_is_looked_at_too() {
    run(async {
        let fixture = scripted(vec![says("Seven.")], vec![says(r#"{"total": 7}"#)], "").await;
        let validation = json!({"schema": schema(), "on_failure": "handoff", "to": "ant/fake"});
        let body = json!({"model": "oai/fake", "input": "Add", "max_tokens": 100, "validation": validation});
        let done = started(&fixture.baton, body.clone()).await;
        assert_eq!(
            (&done["status"], &done["output"]["text"]),
            (&json!("completed"), &json!(r#"{"total": 7}"#)),
            "{done}"
        );
        assert_eq!(done["ended_by"]["model"], "ant/fake");
        let asked = saw(&fixture, "ant/fake")[0].json()["messages"].to_string();
        assert!(asked.contains("Seven.") && asked.contains("cannot be taken"), "{asked}");
        let decisions = decided(&fixture.baton, &id_of(&done)).await;
        assert_eq!(decisions, ["select oai/fake", "handoff -", "select ant/fake"]);
        says_next(&fixture, "oai/fake", says("Seven."));
        says_next(&fixture, "ant/fake", says("Seven!"));
        let failed = started(&fixture.baton, body).await;
        assert_eq!(failed["error"]["code"], "validation_failed", "it is handed over once: {failed}");
    });
}

#[test]
fn a_judge_says_whether_criteria_are_met_and_is_paid_for() {
    run(async {
        let prices = "models: { oai/fake: { price: { input: 1, output: 1 } }, ant/fake: { price: { input: 1, output: 1 } } }";
        let turns = vec![says("A very long answer."), says("Short.")];
        let verdicts = vec![says(r#"{"pass": false, "reason": "too long"}"#), says(r#"{"pass": true}"#)];
        let fixture = scripted(turns, verdicts, prices).await;
        let validation = json!({"criteria": ["It is short"], "judge": "ant/fake", "on_failure": "retry"});
        let done =
            started(&fixture.baton, json!({"model": "oai/fake", "input": "x", "validation": validation}))
                .await;
        assert_eq!(
            (&done["status"], &done["output"]["text"]),
            (&json!("completed"), &json!("Short.")),
            "{done}"
        );
        assert_eq!(done["checks"][0]["why"], "too long");
        let asked = saw(&fixture, "ant/fake")[1].json().to_string();
        assert!(asked.contains("It is short") && asked.contains("Short."), "{asked}");
        assert_eq!((&done["turns_consumed"], &done["ended_by"]["model"]), (&json!(4), &json!("oai/fake")));
        let of_judge = done["turns"].as_array().unwrap().iter().filter(|turn| turn["step"] == "validation");
        assert!(of_judge.clone().all(|turn| turn["task"] == true && turn["model"] == "ant/fake"), "{done}");
        assert_eq!(of_judge.count(), 2);
        let told = events_of(&fixture.baton, &id_of(&done), None).await;
        are_whole(&told);
        assert!(!super::text_of(&told).contains("pass"), "a judge is out of the user's sight");
    });
}

#[test]
fn the_answer_of_a_workflow_is_looked_at_too() {
    run(async {
        let fixture = scripted(vec![says("no"), says("yes")], Vec::new(), "").await;
        let body = json!({
            "input": "x", "workflow": {"sequence": [{"name": "one", "model": "oai/fake"}]},
            "validation": {"cel": "output == 'yes'"},
        });
        let failed = started(&fixture.baton, body.clone()).await;
        assert_eq!(
            (&failed["status"], &failed["error"]["code"]),
            (&json!("failed"), &json!("validation_failed")),
            "{failed}"
        );
        assert_eq!(started(&fixture.baton, body).await["status"], "completed");
    });
}

#[test]
fn what_is_wrong_with_a_validation_is_told_with_its_path() {
    run(async {
        let baton = Baton::start("").await;
        let cases = [
            (400, "validation", json!(7)),
            (400, "validation", json!({})),
            (400, "validation.cell", json!({"cell": "true"})),
            (400, "validation.cel", json!({"cel": "user == 1"})),
            (400, "validation.cel", json!({"cel": "x".repeat(5_000)})),
            (400, "validation.cel", json!({"cel": "json.all(x, x.exists(y, y == 1))"})),
            (400, "validation.cel", json!({"cel": "json.all(x, x.size() < output.size())"})),
            (400, "validation.cel", json!({"cel": format!("{}true{}", "(".repeat(500), ")".repeat(500))})),
            (400, "validation.times", json!({"cel": "true", "on_failure": "retry", "times": 9})),
            (404, "validation.judge", json!({"criteria": "good", "judge": "nobody/has-this"})),
            (404, "validation.to", json!({"cel": "true", "on_failure": "handoff", "to": "agent/nobody"})),
        ];
        for (status, path, validation) in cases {
            let body = json!({"model": "echo/hello", "input": "x", "validation": validation});
            let refused = baton.post("/v1/runs", &body).await;
            assert_eq!(param(&refused, status), path, "{validation}: {}", refused.text());
        }
        assert_eq!(baton.get("/v1/runs").await.expect(200).json()["data"], json!([]));
    });
}
