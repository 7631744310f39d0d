//! `GET /admin/v1/usage` and `/admin/v1/handoffs`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Site, made_ms, on_each_store};
use crate::blackbox::support::{sent, until};
use crate::blackbox::v1::text;

/// The sums of all buckets and groups.
fn added(page: &Value, member: &str) -> u64 {
    groups(page).iter().map(|group| group[member].as_u64().expect("a sum")).sum()
}

fn groups(page: &Value) -> Vec<Value> {
    let buckets = page["data"].as_array().expect("buckets");
    buckets.iter().flat_map(|bucket| bucket["results"].as_array().cloned().expect("groups")).collect()
}

/// A page of usage in which everything has been counted.
async fn counted(site: &Site, query: &str, decisions: usize) -> Value {
    until("everything is counted", async || {
        let page = site.json(&format!("/usage?{query}")).await;
        (added(&page, "decisions") == decisions as u64).then_some(page)
    })
    .await
}

#[test]
fn sums_are_those_of_the_list_in_every_width() {
    on_each_store("", async |site| {
        let rows = site.lived().await;
        let of_rows = |member: &str| {
            rows.iter().map(|row| row["outcome"]["usage"][member].as_u64().unwrap_or_default()).sum::<u64>()
        };
        let with = |status: &str| rows.iter().filter(|row| row["outcome"]["status"] == status).count() as u64;
        for width in ["1m", "1h", "1d"] {
            let page = counted(site, &format!("bucket_width={width}"), rows.len()).await;
            assert_eq!((&page["object"], &page["has_more"]), (&json!("page"), &json!(false)), "{page}");
            assert_eq!(added(&page, "input_tokens"), of_rows("input_tokens"), "{width}");
            assert_eq!(added(&page, "output_tokens"), of_rows("output_tokens"), "{width}");
            assert_eq!((added(&page, "ok"), added(&page, "failed")), (with("ok"), with("failed")), "{width}");
            let cost: f64 = groups(&page)
                .iter()
                .map(|group| text(&group["cost_usd"]).parse::<f64>().expect("dollars"))
                .sum();
            let of_rows: f64 =
                rows.iter().filter_map(|row| text(&row["outcome"]["cost_usd"]).parse::<f64>().ok()).sum();
            assert!(cost > 0.0 && (cost - of_rows).abs() < 1e-9, "{cost} and {of_rows}");
        }
    });
}

#[test]
fn groups_keep_apart_what_they_are_named_for() {
    on_each_store("", async |site| {
        let rows = site.lived().await;
        let page = counted(site, "group_by[]=provider&group_by[]=status", rows.len()).await;
        let mut wanted: BTreeMap<(String, String), u64> = BTreeMap::new();
        for row in &rows {
            let provider = text(&row["to"]).split('/').next().unwrap_or_default().to_owned();
            let status = text(&row["outcome"]["status"]).replace("not_expected", "none");
            *wanted.entry((provider, status)).or_default() += 1;
        }
        let mut came: BTreeMap<(String, String), u64> = BTreeMap::new();
        for group in groups(&page) {
            let key = (text(&group["provider"]), text(&group["status"]));
            *came.entry(key).or_default() += group["decisions"].as_u64().expect("a sum");
            assert!(group["model"].is_null() && group["principal"].is_null(), "{group}");
        }
        assert_eq!(came, wanted);
        let only = site.json("/usage?provider=ant").await;
        assert_eq!(
            added(&only, "decisions"),
            wanted.iter().filter(|((provider, _), _)| provider == "ant").map(|(_, count)| count).sum::<u64>()
        );
    });
}

#[test]
fn pages_of_buckets_join_without_gap_and_belong_to_their_question() {
    on_each_store("", async |site| {
        let rows = site.lived().await;
        let now = made_ms(&rows[0]) / 1_000;
        let question = format!("start_time={}&end_time={}&bucket_width=1h", now - 9 * 3_600, now + 3_600);
        counted(site, &format!("{question}&limit=168"), rows.len()).await;
        let (mut starts, mut decisions, mut next) = (Vec::new(), 0, String::new());
        loop {
            let page = site.json(&format!("/usage?{question}&limit=4{next}")).await;
            for bucket in page["data"].as_array().expect("buckets") {
                starts.push(bucket["start_time"].as_u64().expect("a time"));
            }
            decisions += added(&page, "decisions");
            let Some(token) = page["next_page"].as_str() else { break };
            assert_eq!(page["has_more"], true);
            next = format!("&page={token}");
            let other =
                site.get(&format!("/usage?{question}&limit=4{next}&provider=oai")).await.openai_error(400);
            assert_eq!(other["param"], "page");
        }
        assert_eq!(decisions, rows.len() as u64);
        assert!(starts.len() >= 10 && starts.windows(2).all(|pair| pair[1] == pair[0] + 3_600), "{starts:?}");
    });
}

#[test]
fn the_matrix_counts_a_hand_over_and_what_was_said_of_it() {
    on_each_store("", async |site| {
        let rows = site.lived().await;
        let row = rows.iter().find(|row| row["kind"] == "handoff").expect("a hand-over");
        let said = json!({"correct_target": false});
        let path = format!("/v1/decisions/{}/feedback", text(&row["id"]));
        sent(site.baton().posting(&path, &said)).await.expect(200);
        let cell = until("the hand-over and the feedback are counted", async || {
            let matrix = site.json("/handoffs").await;
            let cells = matrix["data"].as_array().cloned().expect("cells");
            assert!(cells.len() <= 1, "{matrix}");
            cells.into_iter().find(|cell| cell["wrong"] == 1)
        })
        .await;
        assert_eq!((&cell["from"], &cell["to"]), (&json!("oai/fake"), &json!("ant/fake-b")));
        assert_eq!(cell["reason_code"], row["reason"]["code"]);
        for (member, value) in
            [("count", 1), ("succeeded", 1), ("failed", 0), ("client_cancelled", 0), ("right", 0)]
        {
            assert_eq!(cell[member], value, "{cell}");
        }
        assert_eq!((&cell["success_rate"], &cell["accuracy"]), (&json!(1.0), &json!(0.0)));
        assert!(cell["added_ms"].as_f64().is_some_and(|added| added > 0.0), "{cell}");
        for (filter, count) in
            [("from=oai/fake", 1), ("to=ant/fake-b", 1), ("from=ant/fake-b", 0), ("start_time=2100-01-01", 0)]
        {
            let matrix = site.json(&format!("/handoffs?{filter}")).await;
            assert_eq!(matrix["data"].as_array().map(Vec::len), Some(count), "{filter}: {matrix}");
        }
    });
}
