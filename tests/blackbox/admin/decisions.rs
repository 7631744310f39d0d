//! `GET /admin/v1/decisions`, `/admin/v1/decisions/{id}` and `/admin/v1/runs/{id}`.

use serde_json::{Value, json};

use super::{Site, ids, made_ms, on_each_store};
use crate::blackbox::keys::create;
use crate::blackbox::support::{sent, until};
use crate::blackbox::v1::text;

/// A filter, and what it should leave of the whole list.
type Case = (String, Box<dyn Fn(&Value) -> bool>);

fn case(filter: impl Into<String>, holds: impl Fn(&Value) -> bool + 'static) -> Case {
    (filter.into(), Box::new(holds))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

#[test]
fn every_filter_leaves_what_holds_and_nothing_else() {
    on_each_store("", async |site| {
        let mine = create(site.baton(), &["mine"]).await;
        let all = site.lived().await;
        let keyed = json!({"model": "ant/fake", "messages": "hi"});
        sent(site.baton().posting("/v1/chat/completions", &keyed).bearer_auth(&mine.secret))
            .await
            .expect(200);
        let all_of_them = site.settled(all.len() + 1).await;
        let run = text(&all_of_them[3]["run"]);
        let version =
            text(&all_of_them.iter().find(|row| row["policy"].is_string()).expect("a plan")["policy"]);
        let short = version.get(.."default@".len() + 6).expect("a version").to_owned();
        let middle = {
            let mut times: Vec<u64> =
                all_of_them.iter().map(|row| number(&row["outcome"]["total_us"])).collect();
            times.sort_unstable();
            times[times.len() / 2]
        };
        let ms = format!("{}.{:03}", middle / 1_000, middle % 1_000);
        let (newest, oldest) = (made_ms(&all_of_them[0]), made_ms(&all_of_them[all_of_them.len() - 1]));
        let between = (newest + oldest) / 2 / 1_000;
        let (key, other_run) = (mine.id.clone(), run.clone());
        let cases = [
            case("kind=select", |row| row["kind"] == "select"),
            case("kind=fallback,stop", |row| row["kind"] == "fallback" || row["kind"] == "stop"),
            case("kind=fallback&kind=stop", |row| row["kind"] == "fallback" || row["kind"] == "stop"),
            case("reason_code=only_model", |row| row["reason"]["code"] == "only_model"),
            case("policy=default", |row| text(&row["policy"]).starts_with("default@")),
            case(format!("policy={short}"), |row| text(&row["policy"]).starts_with("default@")),
            case("requested=oai/fault-500", |row| row["requested"].to_string().contains("\"oai/fault-500\"")),
            case("served=ant/fake", |row| row["to"] == "ant/fake"),
            case("from=oai/fault-500", |row| row["from"] == "oai/fault-500"),
            case("to=oai/fake", |row| row["to"] == "oai/fake"),
            case("provider=ant", |row| text(&row["to"]).starts_with("ant/")),
            case("principal=anonymous", |row| row["principal"] == "anonymous"),
            case(format!("principal={}", mine.id), move |row| row["principal"] == json!(key)),
            case(format!("run={run}"), move |row| row["run"] == json!(other_run)),
            case("session=%3D1%2B1", |row| row["labels"]["session"] == "=1+1"),
            case("tag=t-2", |row| row["labels"]["tags"].to_string().contains("\"t-2\"")),
            case("status=ok", |row| row["outcome"]["status"] == "ok"),
            case("status=failed", |row| row["outcome"]["status"] == "failed"),
            case("status=not_expected", |row| row["outcome"]["status"] == "not_expected"),
            case("fault=server_error", |row| row["outcome"]["fault"] == "server_error"),
            case("min_hop=2", |row| number(&row["hop"]) >= 2),
            case("min_cost_usd=0.0000001", |row| {
                text(&row["outcome"]["cost_usd"]).parse::<f64>().is_ok_and(|cost| cost > 0.0)
            }),
            case(format!("min_total_ms={ms}"), move |row| {
                row["outcome"]["total_us"].as_u64().is_some_and(|took| took >= middle)
            }),
            case(format!("max_total_ms={ms}"), move |row| {
                row["outcome"]["total_us"].as_u64().is_some_and(|took| took <= middle)
            }),
            case("min_first_content_ms=0.001", |row| row["outcome"]["first_content_us"].is_u64()),
            case("kind=select&status=failed&provider=oai", |row| {
                row["kind"] == "select"
                    && row["outcome"]["status"] == "failed"
                    && text(&row["to"]).starts_with("oai/")
            }),
        ];
        for (filter, holds) in &cases {
            let wanted: Vec<Value> = all_of_them.iter().filter(|row| holds(row)).cloned().collect();
            assert!(!wanted.is_empty() && wanted.len() < all_of_them.len(), "{filter} tells nothing apart");
            assert_eq!(ids(&site.rows(&format!("&{filter}")).await), ids(&wanted), "{filter}");
        }
        // Two halves of the time are the whole.
        let mut halves = site.rows(&format!("&start_time={between}")).await;
        halves.extend(site.rows(&format!("&end_time={between}")).await);
        assert_eq!(ids(&halves), ids(&all_of_them));
        for nothing in [
            "tag=t",
            "session=%25",
            "served=ant",
            "start_time=2100-01-01",
            "status=running",
            "status=crashed",
        ] {
            assert!(site.rows(&format!("&{nothing}")).await.is_empty(), "{nothing}");
        }
        // A whole century may be asked for: the page bounds the work.
        assert_eq!(site.rows("&start_time=1970-01-01&end_time=2100-01-01").await.len(), all_of_them.len());
        // A caller has the same filters, for its own.
        let own = sent(
            site.baton()
                .keyless(reqwest::Method::GET, "/v1/decisions?provider=ant&status=ok")
                .bearer_auth(&mine.secret),
        )
        .await
        .expect(200)
        .json();
        assert_eq!(own["data"].as_array().map(Vec::len), Some(1), "{own}");
        let others = sent(
            site.baton()
                .keyless(reqwest::Method::GET, "/v1/decisions?principal=anonymous")
                .bearer_auth(&mine.secret),
        )
        .await
        .expect(200)
        .json();
        assert_eq!(others["data"], json!([]), "somebody else's decisions: {others}");
    });
}

#[test]
fn pages_stay_in_place_while_decisions_arrive() {
    on_each_store("", async |site| {
        let before = ids(&site.lived().await);
        let (mut came, mut after) = (Vec::new(), String::new());
        loop {
            let page = site.json(&format!("/decisions?limit=2{after}")).await;
            came.extend(ids(page["data"].as_array().expect("a list")));
            if page["has_more"] == false {
                break;
            }
            after = format!("&starting_after={}", came.last().expect("a full page"));
            site.baton().chat(&json!({"model": "oai/fake", "messages": "more"})).await.expect(200);
        }
        assert_eq!(came, before);
        // And back again, to what came meanwhile.
        let newer = site.settled(before.len() + 3).await;
        let page = site.json(&format!("/decisions?limit=100&ending_before={}", before[0])).await;
        assert_eq!(ids(page["data"].as_array().expect("a list")), ids(&newer)[..3]);
    });
}

#[test]
fn what_is_under_way_is_listed_apart() {
    on_each_store("", async |site| {
        site.lived().await;
        let open = site
            .baton()
            .posting(
                "/v1/chat/completions",
                &json!({"model": "oai/fault-stall", "messages": "hi", "stream": true}),
            )
            .send()
            .await
            .expect("a stream");
        let running = until("the open decision is in the store", async || {
            let rows = site.rows("&status=running").await;
            (!rows.is_empty()).then_some(rows)
        })
        .await;
        assert_eq!((running.len(), &running[0]["to"]), (1, &json!("oai/fault-stall")));
        assert_eq!(running[0]["outcome"], json!({"status": "running"}));
        drop(open);
        until("it has ended", async || site.rows("&status=running").await.is_empty().then_some(())).await;
        assert_eq!(site.rows("&status=client_cancelled").await[0]["id"], running[0]["id"]);
    });
}

#[test]
fn a_chain_is_shown_whole_by_decision_and_by_run() {
    on_each_store("", async |site| {
        let rows = site.lived().await;
        for row in &rows {
            let run = site.json(&format!("/runs/{}", text(&row["run"]))).await;
            assert_eq!(run["object"], "run");
            assert_eq!(site.json(&format!("/decisions/{}", text(&row["id"]))).await, run);
            let chain = run["decisions"].as_array().expect("decisions");
            let wanted: Vec<String> = rows
                .iter()
                .rev()
                .filter(|other| other["run"] == row["run"])
                .map(|other| text(&other["id"]))
                .collect();
            assert_eq!(ids(chain), wanted);
            assert!(chain.contains(row), "{row}");
        }
        // What a model said is its caller's, not the operator's.
        assert!(!json!(rows).to_string().contains("it writes better"));
        for path in [
            "/decisions/dec_019356aa00007000800000000000000a",
            "/decisions/run_019356aa00007000800000000000000a",
            "/decisions/x",
            "/decisions/%ff",
            "/runs/run_019356aa00007000800000000000000a",
            "/runs/dec_019356aa00007000800000000000000a",
        ] {
            assert_eq!(site.get(path).await.openai_error(404)["code"], "not_found", "{path}");
        }
    });
}

#[test]
fn a_wrong_parameter_is_named() {
    crate::blackbox::support::run(async {
        let site = Site::start("", None).await;
        for (query, param, hint) in [
            ("/decisions?limit=0", "limit", "1 to 100"),
            ("/decisions?limit=101", "limit", "1 to 100"),
            ("/decisions?starting_after=page_1_a", "starting_after", "dec_"),
            ("/decisions?ending_before=run_019356aa00007000800000000000000a", "ending_before", "dec_"),
            ("/decisions?polciy=x", "polciy", "did you mean `policy`?"),
            ("/decisions?status=done", "status", "`client_cancelled`"),
            ("/decisions?start_time=2026-02-01&end_time=2026-01-01", "end_time", "not after"),
            ("/decisions?kind=fallbck", "kind", "did you mean `fallback`?"),
            ("/decisions?session=a&session=b", "session", "twice"),
            ("/usage?group_by[]=session", "group_by", "too many values"),
            ("/usage?group_by=modle", "group_by", "did you mean `model`?"),
            ("/usage?bucket_width=1m&start_time=2016-01-01&end_time=2026-01-01", "bucket_width", "7 days"),
            ("/usage?limit=32", "limit", "1 to 31"),
            ("/usage?page=dec_019356aa00007000800000000000000a", "page", "next_page"),
            ("/handoffs?form=x", "form", "did you mean `from`?"),
            ("/models/unchosen?limit=1", "limit", "`start_time`"),
            ("/rules/unfired?end_time=later", "end_time", "seconds since 1970"),
            ("/decisions/export?format=xlsx", "format", "`csv`"),
            ("/decisions/export?limit=3", "limit", "there is no parameter"),
            ("/decisions/export?starting_after=x", "starting_after", "dec_"),
        ] {
            let error = site.get(query).await.openai_error(400);
            assert_eq!(error["param"], param, "{query}: {error}");
            assert!(text(&error["message"]).contains(hint), "{query}: {error}");
        }
    });
}
