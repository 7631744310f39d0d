//! `GET /admin/v1/models/unchosen` and `/admin/v1/rules/unfired`.

use serde_json::{Value, json};

use super::{Site, on_each_store};
use crate::blackbox::support::until;
use crate::blackbox::v1::text;

const POLICIES: &str = r#"
policies:
  default: { fallback: { retries: 0 } }
  steps:
    rules:
      - { name: here, when: 'context.step == "here"', use: [oai/fake] }
      - { name: never, when: 'context.step == "never"', use: [ant/fake] }
  idle:
    rules:
      - { name: here, when: 'context.step == "here"', use: [oai/fake] }
"#;

async fn names(site: &Site, path: &str, member: &str) -> Vec<String> {
    let list = site.json(path).await;
    assert_eq!((&list["object"], &list["has_more"]), (&json!("list"), &json!(false)));
    list["data"].as_array().expect("a list").iter().map(|row| text(&row[member])).collect()
}

#[test]
fn a_model_that_nobody_got_is_listed_until_somebody_does() {
    on_each_store("", async |site| {
        assert!(names(site, "/models/unchosen", "id").await.contains(&"oai/fake".to_owned()));
        site.lived().await;
        let unchosen = until("the choice is counted", async || {
            let unchosen = names(site, "/models/unchosen", "id").await;
            (!unchosen.contains(&"oai/fake".to_owned())).then_some(unchosen)
        })
        .await;
        assert!(unchosen.contains(&"oai/fake-never".to_owned()), "{unchosen:?}");
        assert!(!unchosen.contains(&"ant/fake".to_owned()), "{unchosen:?}");
        let list = site.json("/models/unchosen").await;
        let never =
            list["data"].as_array().and_then(|list| list.iter().find(|row| row["id"] == "oai/fake-never"));
        assert_eq!(never.expect("the model")["aliases"], json!(["never"]));
        // Of another time, nothing is known to have been chosen; nor is it of a long one.
        let past = names(site, "/models/unchosen?start_time=2020-01-01&end_time=2020-01-02", "id").await;
        assert!(past.contains(&"oai/fake".to_owned()), "{past:?}");
        let always = names(site, "/models/unchosen?start_time=1970-01-01", "id").await;
        assert_eq!(always, unchosen);
    });
}

#[test]
fn a_rule_that_decided_nothing_is_listed_under_its_policy() {
    on_each_store(POLICIES, async |site| {
        let rules = async || {
            let list = site.json("/rules/unfired").await;
            let rule = |row: &Value| format!("{} {}", text(&row["policy"]), text(&row["rule"]));
            list["data"].as_array().expect("a list").iter().map(rule).collect::<Vec<_>>()
        };
        assert_eq!(rules().await, ["idle here", "steps here", "steps never"]);
        let ask = json!({
            "models": ["ant/fake", "oai/fake-x"], "messages": "hi",
            "baton": {"policy": "steps", "context": {"step": "here"}},
        });
        let answer = site.baton().chat(&ask).await.expect(200);
        assert_eq!(answer.header("x-baton-model"), "oai/fake", "the rule was followed");
        until("the rule is counted", async || (rules().await == ["idle here", "steps never"]).then_some(()))
            .await;
    });
}
