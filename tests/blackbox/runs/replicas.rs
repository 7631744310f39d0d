//! Two gateways on one Postgres, each killed again and again while they carry out background runs.
//!
//! `BATON_RUN_KILLS` says how often one is killed, `BATON_RUN_COUNT` over how many runs, `BATON_RUN_SEED` repeats
//! the moments. `cargo xtask runs-kill` starts the database and runs all of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_testkit::postgres::Database;
use reqwest::Client;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::puppet::{Dice, Puppet, Said, number};
use super::{Event, are_whole, events_of, frames, queued, reaches, text_of};
use crate::blackbox::mcp::server::Mcp;
use crate::blackbox::support::{Baton, Home, run, spawn, until};

/// So many kills, and runs, unless the environment says more.
const KILLS: usize = 6;
const RUNS: usize = 20;
/// How often each run calls a tool with an effect; then it tells the end.
const STEPS: usize = 4;
const TURNS: usize = STEPS + 1;
/// Every so many kills, both die.
const BOTH: usize = 10;
/// The master key is the same for both; it guards nothing here. Nobody waits long for what the dead held.
const ENVIRONMENT: [(&str, &str); 2] =
    [("BATON_MASTER_KEY", "cnVucy10ZXN0LW1hc3Rlci1rZXktb2YtMzItYnl0ZXM="), ("BATON_RUN_LEASE_MS", "1000")];

/// A model whose answers are let out by the test, so that runs are in the middle when somebody dies.
#[derive(Clone)]
struct Model {
    may_answer: Arc<Semaphore>,
    answers: Arc<AtomicUsize>,
}

impl Model {
    fn new() -> Self {
        Self { may_answer: Arc::new(Semaphore::new(0)), answers: Arc::default() }
    }

    fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    /// It calls the tool for one step after the other of what the user wants.
    async fn answer(self, asked: Value) -> Option<Said> {
        self.may_answer.acquire().await.expect("it is not closed").forget();
        self.answers.fetch_add(1, Ordering::Relaxed);
        let messages = asked["messages"].as_array().expect("messages");
        let of = |role: &str| messages.iter().filter(|message| message["role"] == role).count();
        let first = messages.iter().find(|message| message["role"] == "user").expect("a user");
        let (job, step) = (first["content"].as_str().expect("a text"), of("tool"));
        Some(if step < STEPS {
            Said::calls(vec![("acme__query".to_owned(), json!({"q": format!("{job} step {step}")}))])
        } else {
            Said::text(&format!("{job} is done."))
        })
    }
}

/// Both gateways, and where they listen.
struct Replicas {
    homes: [Home; 2],
    running: [Option<Baton>; 2],
    places: Places,
}

#[derive(Clone, Default)]
struct Places(Arc<Mutex<[String; 2]>>);

impl Places {
    fn of(&self, which: usize) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[which % 2].clone()
    }
}

impl Replicas {
    async fn start(config: &str) -> Self {
        let homes = [Home::new(config), Home::new(config)];
        let mut all = Self { homes, running: [None, None], places: Places::default() };
        for which in 0..2 {
            all.revive(which).await;
        }
        all
    }

    async fn revive(&mut self, which: usize) {
        let baton = Baton::start_in(self.homes[which].clone(), &ENVIRONMENT).await;
        self.places.0.lock().unwrap_or_else(PoisonError::into_inner)[which] = baton.address().to_owned();
        self.running[which] = Some(baton);
    }

    async fn kill(&mut self, which: usize) {
        let mut baton = self.running[which].take().expect("it runs");
        baton.signal(Signal::KILL);
        baton.ended().await;
    }

    fn at(&self, which: usize) -> &Baton {
        self.running[which % 2].as_ref().expect("it runs")
    }
}

/// What a reader got of a run, from whoever was there, and how often it was cut off.
struct Followed {
    events: Vec<Event>,
    cuts: usize,
}

/// Reads a run to its end, and goes on with the other gateway behind the last event that it has.
async fn follow(places: Places, id: String, first: usize) -> Followed {
    let client = Client::builder().no_proxy().build().expect("a client");
    let mut got = Followed { events: Vec::new(), cuts: 0 };
    for which in first.. {
        let mut request = client.get(format!("http://{}/v1/runs/{id}/events", places.of(which)));
        if let Some(last) = got.events.last() {
            request = request.header("last-event-id", last.number);
        }
        let mut read = Vec::new();
        match request.send().await {
            Ok(mut response) if response.status() == 200 => {
                while let Ok(Some(chunk)) = response.chunk().await {
                    read.extend_from_slice(&chunk);
                }
            }
            // It is dead, or about to begin.
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        // Of the last frame a part may have come.
        let text = String::from_utf8_lossy(&read);
        let whole = text.rfind("\n\n").map_or(0, |end| end + 2);
        got.events.extend(frames(text.get(..whole).unwrap_or_default()));
        if got.events.last().is_some_and(|event| event.name == "run_end") {
            break;
        }
        got.cuts += 1;
    }
    got
}

#[test]
fn two_gateways_that_are_killed_lose_no_run_and_repeat_no_effect() {
    run(async {
        let Some(database) = Database::create().await.expect("a database") else {
            println!("SKIPPED: TEST_DATABASE_URL is not set, so runs are not carried out by two gateways");
            return;
        };
        let (kills, runs) = (number("BATON_RUN_KILLS", KILLS), number("BATON_RUN_COUNT", RUNS));
        let seed = number("BATON_RUN_SEED", usize::try_from(std::process::id()).expect("a number"));
        let mut dice = Dice::new(u64::try_from(seed).expect("a number"));
        println!("{kills} kills over {runs} runs on two gateways, BATON_RUN_SEED={seed}");
        let (model, mcp) = (Model::new(), Mcp::start().await);
        let puppet = Puppet::start({
            let model = model.clone();
            move |asked| model.clone().answer(asked)
        })
        .await;
        let mut replicas = Replicas::start(&format!(
            "database: \"{}\"\nproviders: {{ pup: {} }}\nmcp_servers: {{ acme: {{ url: \"{}\" }} }}\n",
            database.url(),
            puppet.provider(),
            mcp.url(),
        ))
        .await;

        let mut begun: Vec<(String, JoinHandle<Followed>)> = Vec::new();
        let first = runs.div_ceil(10);
        for kill in 0..kills {
            let wanted = first + (runs - first) * (kill + 1) / kills;
            let new = wanted - begun.len();
            while begun.len() < wanted {
                let number = begun.len();
                let body =
                    json!({"model": "pup/any", "input": format!("job {number}"), "mcp_servers": ["acme"]});
                let id = queued(replicas.at(number), body).await;
                let reader = spawn(follow(replicas.places.clone(), id.clone(), number));
                begun.push((id, reader));
            }
            // Some answers are lost with who asked for them.
            model.may_answer.add_permits(new * TURNS + 4);
            // A number of answers and not a time: it does not depend on the machine.
            let most = u64::try_from((new * TURNS).max(1)).expect("a number");
            let moment = model.answers() + 1 + usize::try_from(dice.below(most)).expect("a number");
            until("so many answers are given", async || {
                let is_over = || begun.iter().all(|(_, reader)| reader.is_finished());
                (model.answers() >= moment || is_over()).then_some(())
            })
            .await;
            let which = usize::try_from(dice.below(2)).expect("a number");
            replicas.kill(which).await;
            if kill % BOTH == BOTH - 1 {
                replicas.kill(1 - which).await;
                replicas.revive(1 - which).await;
            }
            replicas.revive(which).await;
        }
        model.may_answer.add_permits(Semaphore::MAX_PERMITS / 2);

        let (mut unknown, mut events, mut cuts) = (0, 0, 0);
        for (number, (id, reader)) in begun.into_iter().enumerate() {
            let ended = reaches(replicas.at(number), &id, "completed").await;
            let results = ended["tool_results"].as_array().expect("results");
            assert_eq!((results.len(), &ended["turns_consumed"]), (STEPS, &json!(TURNS)), "{ended}");
            unknown += results.iter().filter(|result| result["outcome_unknown"] == true).count();
            assert_eq!(ended["output"]["text"], format!("job {number} is done."), "{ended}");
            let told = events_of(replicas.at(number + 1), &id, None).await;
            are_whole(&told);
            assert_eq!(text_of(&told), format!("job {number} is done."), "told once");
            let followed = reader.await.expect("a reader");
            assert_eq!(followed.events, told, "who follows {id} and is cut off gets each event once");
            events += told.len();
            cuts += followed.cuts;
        }
        let mut called: Vec<Value> = mcp.calls();
        let all = called.len();
        called.sort_by_key(ToString::to_string);
        called.dedup();
        println!(
            "{runs} runs of {TURNS} turns ended, after {kills} kills: {} answers of {} were asked for again; \
             {all} calls with an effect, {} of them twice, {unknown} told as of unknown outcome; \
             {events} events, each once, for readers that were cut off {cuts} times",
            model.answers().saturating_sub(runs * TURNS),
            runs * TURNS,
            all - called.len(),
        );
        assert_eq!(called.len(), all, "a call with an effect was made twice");
        let wanted = runs * STEPS;
        assert!(all <= wanted && all + unknown >= wanted, "{all} calls, {unknown} unknown, {wanted} wanted");
        drop(replicas);
        database.remove().await.expect("it is removed");
    });
}
