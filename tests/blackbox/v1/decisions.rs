//! `GET /v1/decisions` and `GET /v1/decisions/{id}`.

use serde_json::{Value, json};

use super::answers::text;
use crate::blackbox::keys::create;
use crate::blackbox::support::{Baton, Fixture, run, until};

#[test]
fn the_list_is_newest_first_and_pages_without_gaps() {
    run(async {
        let fixture = Fixture::start("").await;
        let mut made = Vec::new();
        for _ in 0..7 {
            let answer =
                fixture.baton.chat(&json!({"model": "oai/fake", "messages": "hi"})).await.expect(200);
            made.push(answer.header("x-baton-decision-id").to_owned());
        }
        made.reverse();
        listed(&fixture.baton, "", made.len()).await;
        for limit in [1, 2, 3, 7, 100] {
            let (mut came, mut after) = (Vec::new(), String::new());
            loop {
                let page = fixture
                    .baton
                    .get(&format!("/v1/decisions?limit={limit}{after}"))
                    .await
                    .expect(200)
                    .json();
                let ids = ids(&page);
                assert!(ids.len() <= limit, "{page}");
                came.extend(ids);
                if page["has_more"] == false {
                    break;
                }
                after = format!("&starting_after={}", came.last().expect("a full page"));
            }
            assert_eq!(came, made, "limit {limit}");
        }
        // Backwards: what is newer than the third, nearest first to be kept.
        let page =
            fixture.baton.get(&format!("/v1/decisions?limit=2&ending_before={}", made[3])).await.json();
        assert_eq!((ids(&page), &page["has_more"]), (made[1..3].to_vec(), &json!(true)));
        let page =
            fixture.baton.get(&format!("/v1/decisions?limit=5&ending_before={}", made[3])).await.json();
        assert_eq!((ids(&page), &page["has_more"]), (made[..3].to_vec(), &json!(false)));
    });
}

#[test]
fn filters_choose_by_kind_by_run_and_by_model() {
    run(async {
        let fixture = Fixture::start("").await;
        let plain = fixture.baton.chat(&json!({"model": "oai/fake", "messages": "hi"})).await.expect(200);
        let saved = fixture
            .baton
            .chat(&json!({"model": ["oai/fault-500", "ant/fake"], "messages": "hi"}))
            .await
            .expect(200);
        let failed =
            fixture.baton.chat(&json!({"model": "oai/fault-404", "messages": "hi"})).await.expect(404);
        listed(&fixture.baton, "", 5).await;
        let saved_run = saved.header("x-baton-run-id").to_owned();
        for (filter, count) in [
            ("kind=select".to_owned(), 3),
            ("kind=fallback".to_owned(), 1),
            ("kind=stop".to_owned(), 1),
            ("kind=retry".to_owned(), 0),
            (format!("run={saved_run}"), 2),
            (format!("run={}", plain.header("x-baton-run-id")), 1),
            (format!("run={}&kind=stop", failed.header("x-baton-run-id")), 1),
            ("model=ant/fake".to_owned(), 1),
            ("model=oai/fake".to_owned(), 1),
            ("model=oai%2Ffault-500".to_owned(), 1),
            ("model=nobody/x".to_owned(), 0),
            (format!("model=ant/fake&run={saved_run}&kind=fallback"), 1),
        ] {
            let page = fixture.baton.get(&format!("/v1/decisions?{filter}")).await.expect(200).json();
            assert_eq!(ids(&page).len(), count, "{filter}: {page}");
        }
    });
}

#[test]
fn a_wrong_parameter_is_named() {
    run(async {
        let fixture = Fixture::shared().await;
        for (query, param) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("starting_after=x", "starting_after"),
            ("ending_before=run_1", "ending_before"),
            ("kind=guess", "kind"),
            ("run=dec_1", "run"),
            (
                "starting_after=dec_019356aa00007000800000000000000a&ending_before=dec_019356aa00007000800000000000000a",
                "starting_after",
            ),
        ] {
            let error = fixture.baton.get(&format!("/v1/decisions?{query}")).await.openai_error(400);
            assert_eq!(error["param"], param, "{query}: {error}");
        }
        for query in ["limit=many", "limit=-1", "colour=red", "limit=1&limit=2"] {
            fixture.baton.get(&format!("/v1/decisions?{query}")).await.openai_error(400);
        }
    });
}

#[test]
fn a_run_is_found_by_its_own_id_and_by_each_of_its_decisions() {
    run(async {
        let fixture = Fixture::shared().await;
        let answer = fixture
            .baton
            .chat(&json!({"model": ["oai/x/fault-500", "ant/fake"], "messages": "hi"}))
            .await
            .expect(200);
        let whole = fixture.baton.run_of(&answer).await;
        let decisions = whole["decisions"].as_array().expect("decisions");
        assert_eq!(decisions.len(), 2);
        for decision in decisions {
            let found = fixture.baton.settled(&text(&decision["id"])).await;
            assert_eq!(found, whole);
        }
    });
}

#[test]
fn a_decision_is_visible_the_moment_its_answer_is_there() {
    run(async {
        let fixture = Fixture::shared().await;
        for stream in [false, true] {
            let answer = fixture
                .baton
                .chat(&json!({"model": "oai/fake", "messages": "hi", "stream": stream}))
                .await
                .expect(200);
            let found = fixture
                .baton
                .get(&format!("/v1/decisions/{}", answer.header("x-baton-decision-id")))
                .await
                .expect(200);
            assert_eq!(found.json()["decisions"][0]["outcome"]["status"], "ok");
        }
    });
}

#[test]
fn what_is_not_there_is_not_found() {
    run(async {
        let fixture = Fixture::shared().await;
        for id in [
            "dec_019356aa00007000800000000000000a",
            "run_019356aa00007000800000000000000a",
            "x",
            "dec_",
            "key_019356aa00007000800000000000000a",
            "%00",
            "dec_%ff",
        ] {
            let answer = fixture.baton.get(&format!("/v1/decisions/{id}")).await;
            assert!(matches!(answer.status, 400 | 404), "{id}: {answer:?}");
        }
        let answer = fixture.baton.post("/v1/decisions", &json!({})).await;
        answer.openai_error(405);
        assert_eq!(answer.header("allow"), "GET");
    });
}

#[test]
fn everybody_sees_their_own_and_an_administrator_all() {
    run(async {
        let mut baton = Baton::start("auth: { required: true }").await;
        let (mine, theirs, admin) = (
            create(&baton, &["mine"]).await,
            create(&baton, &["theirs"]).await,
            create(&baton, &["boss", "--role", "admin"]).await,
        );
        let ask = json!({"model": "echo/hello", "messages": "hi"});
        let mut made = Vec::new();
        for key in [&mine, &theirs] {
            baton.set_key(&key.secret);
            made.push(baton.chat(&ask).await.expect(200));
        }
        let [of_mine, of_theirs] = made.as_slice() else { panic!("two answers") };
        for (key, sees, not) in
            [(&mine, of_mine, Some(of_theirs)), (&theirs, of_theirs, Some(of_mine)), (&admin, of_mine, None)]
        {
            baton.set_key(&key.secret);
            let wanted = if not.is_some() { 1 } else { 2 };
            listed(&baton, "", wanted).await;
            let page = baton.get("/v1/decisions").await.json();
            assert!(ids(&page).contains(&sees.header("x-baton-decision-id").to_owned()), "{page}");
            let principal =
                &baton.settled(sees.header("x-baton-decision-id")).await["decisions"][0]["principal"];
            assert!(*principal == json!(mine.id) || *principal == json!(theirs.id), "{principal}");
            let Some(not) = not else { continue };
            let missing =
                baton.get("/v1/decisions/dec_019356aa00007000800000000000000a").await.openai_error(404);
            for id in [not.header("x-baton-decision-id"), not.header("x-baton-run-id")] {
                let hidden = baton.get(&format!("/v1/decisions/{id}")).await;
                // Word for word what is said of one that does not exist.
                assert_eq!(hidden.openai_error(404), missing);
                assert_eq!(hidden.header("retry-after"), "");
            }
            for filter in [
                format!("run={}", not.header("x-baton-run-id")),
                format!("starting_after={}", not.header("x-baton-decision-id")),
            ] {
                let page = baton.get(&format!("/v1/decisions?{filter}")).await.expect(200).json();
                assert!(!ids(&page).contains(&not.header("x-baton-decision-id").to_owned()), "{page}");
            }
        }
        crate::blackbox::support::sent(baton.keyless(reqwest::Method::GET, "/v1/decisions"))
            .await
            .openai_error(401);
    });
}

fn ids(page: &Value) -> Vec<String> {
    assert_eq!(page["object"], "list", "{page}");
    page["data"].as_array().expect("a list").iter().map(|one| text(&one["id"])).collect()
}

/// Waits until the store has so many: the list is read from there.
async fn listed(baton: &Baton, filter: &str, count: usize) {
    until("the store has the decisions", async || {
        let page = baton.get(&format!("/v1/decisions?limit=100{filter}")).await.json();
        (page["data"].as_array()?.len() >= count).then_some(())
    })
    .await;
}
