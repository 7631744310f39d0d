//! `GET /admin/v1/decisions/export`.

use serde_json::{Value, json};

use super::{ids, on_each_store};

#[test]
fn each_form_has_what_the_list_has() {
    on_each_store("", async |site| {
        let rows = site.lived().await;
        let file = site.get("/decisions/export").await.expect(200);
        assert_eq!(file.header("content-type"), "application/x-ndjson");
        assert_eq!(file.header("content-disposition"), "attachment; filename=\"decisions.ndjson\"");
        let lines: Vec<Value> =
            file.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines, rows);
        let list = site.json("/decisions/export?format=json").await;
        assert_eq!(list, json!({"object": "list", "data": rows, "has_more": false}));
        let file = site.get("/decisions/export?format=csv").await.expect(200);
        assert!(file.header("content-type").starts_with("text/csv"));
        let lines: Vec<&str> = file.text().lines().collect();
        assert_eq!(lines.len(), rows.len() + 1);
        let first: Vec<String> =
            lines[1..].iter().map(|line| line.split(',').next().expect("a cell").to_owned()).collect();
        assert_eq!(first, ids(&rows));
        // A session that a spreadsheet would compute is a text.
        assert!(file.text().contains("\"'=1+1\"") && !file.text().contains(",=1+1"), "{}", file.text());
    });
}

#[test]
fn filters_and_a_place_to_go_on_hold_for_a_file_too() {
    on_each_store("", async |site| {
        let rows = site.lived().await;
        let exported = async |query: &str| {
            let file = site.get(&format!("/decisions/export?{query}")).await.expect(200);
            let line = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
            file.text().lines().map(line).collect::<Vec<_>>()
        };
        let selected = exported("kind=select").await;
        assert!(!selected.is_empty() && selected.iter().all(|row| row["kind"] == "select"));
        assert_eq!(selected, site.rows("&kind=select").await);
        let behind = exported(&format!("starting_after={}", rows[2]["id"].as_str().expect("an id"))).await;
        assert_eq!(behind, rows[3..]);
        assert_eq!(exported("session=nobody").await, Vec::<Value>::new());
        assert_eq!(
            site.json("/decisions/export?format=json&session=nobody").await,
            json!({"object": "list", "data": [], "has_more": false})
        );
    });
}
