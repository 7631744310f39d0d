//! Everything under `/admin/v1`, on each store that is here: SQLite always, Postgres where `TEST_DATABASE_URL` names
//! a server.

mod access;
mod decisions;
mod export;
mod feedback;
mod idle;
mod usage;

use baton_testkit::fake::{FakeUpstream, Script};
use baton_testkit::postgres::Database;
use reqwest::Method;
use serde_json::{Value, json};

use super::handoff::{calls, says, transfer, user};
use super::support::{Answer, Baton, Fixture, Home, run, sent, until};
use super::v1::text;

/// The key of the environment, an administrator's.
const ADMIN: &str = "an-admin-key-that-is-long-enough-0123456789";
const MASTER: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Prices, and a model that nobody asks for.
const MODELS: &str = "
models:
  oai/fake: { price: { input: 1000, output: 2000 } }
  ant/fake: { price: { input: 3000, output: 4000 } }
  oai/fake-never: { aliases: [never] }
";

/// A gateway that anybody may ask, on one of the stores.
struct Site {
    fixture: Fixture,
    database: Option<Database>,
}

/// Runs a test on each store.
#[expect(clippy::needless_pass_by_value, reason = "a test is written where it is handed over")]
fn on_each_store(more: &str, test: impl AsyncFn(&mut Site)) {
    run(async {
        let postgres = Database::create().await.expect("a database");
        for database in std::iter::once(None).chain(postgres.map(Some)) {
            let mut site = Site::start(more, database).await;
            test(&mut site).await;
            let Site { fixture, database } = site;
            drop(fixture);
            if let Some(database) = database {
                database.remove().await.expect("a database that is removed");
            }
        }
    });
}

impl Site {
    async fn start(more: &str, database: Option<Database>) -> Self {
        // The first answer of a model to a list hands over.
        let script = Script::default().then(calls(vec![transfer("ant/fake-b", "it writes better")]));
        let openai = FakeUpstream::start(script).await.expect("a fake upstream");
        let anthropic =
            FakeUpstream::start(Script::default().then(says("so be it"))).await.expect("a fake upstream");
        let place = database.as_ref().map(|it| format!("database: \"{}\"", it.url())).unwrap_or_default();
        let config = Fixture::config(&openai, &anthropic, &format!("{MODELS}\n{more}\n{place}"));
        let environment = [("BATON_ADMIN_KEY", ADMIN), ("BATON_MASTER_KEY", MASTER)];
        let baton = Baton::start_in(Home::new(&config), &environment).await;
        Self { fixture: Fixture { baton, openai, anthropic }, database }
    }

    fn baton(&self) -> &Baton {
        &self.fixture.baton
    }

    /// Asks as the administrator.
    async fn get(&self, path: &str) -> Answer {
        sent(self.baton().keyless(Method::GET, &format!("/admin/v1{path}")).bearer_auth(ADMIN)).await
    }

    async fn json(&self, path: &str) -> Value {
        self.get(path).await.expect(200).json()
    }

    /// The rows of a list, all in one page.
    async fn rows(&self, filters: &str) -> Vec<Value> {
        let page = self.json(&format!("/decisions?limit=100{filters}")).await;
        assert_eq!((&page["object"], &page["has_more"]), (&json!("list"), &json!(false)), "{page}");
        page["data"].as_array().cloned().expect("a list")
    }

    /// Every decision, once there are so many and each has ended. A list may know an end from the journal that the
    /// store, which filters, does not have yet.
    async fn settled(&self, count: usize) -> Vec<Value> {
        until("the store has every decision and its outcome", async || {
            let open = self.rows("&status=running").await;
            let rows = self.rows("").await;
            (rows.len() == count && open.is_empty()).then_some(rows)
        })
        .await
    }

    /// A bit of everything: seven decisions of four requests, of which one hands over, one falls back and one fails.
    async fn lived(&self) -> Vec<Value> {
        let baton = self.baton();
        let pool = json!({"model": ["oai/fake", "ant/fake-b"], "messages": user("go")});
        baton.chat(&pool).await.expect(200);
        let labelled = json!({
            "model": "oai/fake", "messages": "hi", "baton": {"session": "=1+1", "tags": ["t-1", "t-2"]},
        });
        baton.chat(&labelled).await.expect(200);
        baton.chat(&json!({"models": ["oai/fault-500", "ant/fake"], "messages": "hi"})).await.expect(200);
        baton.chat(&json!({"model": "oai/fault-404", "messages": "hi"})).await.expect(404);
        self.settled(7).await
    }
}

fn ids(rows: &[Value]) -> Vec<String> {
    rows.iter().map(|row| text(&row["id"])).collect()
}

/// The time in a decision's id, in milliseconds since 1970.
fn made_ms(row: &Value) -> u64 {
    u64::from_str_radix(text(&row["id"]).get(4..16).expect("digits"), 16).expect("a time")
}
