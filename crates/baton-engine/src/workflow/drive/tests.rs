use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use baton_run::{Around, StepStatus, Workflow};
use serde_json::{Map, Value, json};
use tokio::sync::Barrier;

use super::*;

type Says = dyn Fn(&AskedStep) -> BoxFuture<'static, Result<String, &'static str>> + Send + Sync;

/// Steps that say what a test wants, and an account of them.
struct Play {
    says: Box<Says>,
    asked: Arc<Mutex<Vec<String>>>,
    dropped: Arc<AtomicUsize>,
}

struct CountsDrop(Arc<AtomicUsize>, bool);

impl CountsDrop {
    fn has_ended(&mut self) {
        self.1 = true;
    }
}

impl Drop for CountsDrop {
    fn drop(&mut self) {
        self.0.fetch_add(usize::from(!self.1), Ordering::SeqCst);
    }
}

impl Play {
    fn new(
        says: impl Fn(&AskedStep) -> BoxFuture<'static, Result<String, &'static str>> + Send + Sync + 'static,
    ) -> Self {
        Self { says: Box::new(says), asked: Arc::default(), dropped: Arc::default() }
    }
}

impl Steps for Play {
    fn ask(&self, asked: AskedStep) -> BoxFuture<'static, Said> {
        self.asked.lock().unwrap().push(asked.name.clone());
        let (said, mut counts) = ((self.says)(&asked), CountsDrop(Arc::clone(&self.dropped), false));
        Box::pin(async move {
            let said = said.await;
            counts.has_ended();
            let record = StepRecord::default();
            match said {
                Ok(output) => Said::Answer(StepAnswer { output, record }),
                Err("waits") => Said::Waits,
                Err(code) => Said::Nothing(StepFailure::new(code, code), record),
            }
        })
    }

    fn check(&self, checked: CheckedStep) -> BoxFuture<'static, (Looked, StepRecord)> {
        let looked = if checked.attempt == 1 { Looked::Wrong("too short".to_owned()) } else { Looked::Right };
        Box::pin(std::future::ready((looked, StepRecord::default())))
    }
}

/// Keeps nothing.
struct KeptNowhere;

impl FlowKeeper for KeptNowhere {
    fn keep<'a>(&'a self, _flow: &'a Flow) -> BoxFuture<'a, Result<(), Halted>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// How a workflow ended that nobody stops.
async fn driven(flow: &mut Flow, play: &Play, keeper: &impl FlowKeeper) -> Result<FlowEnd, Halted> {
    match drive(flow, play, keeper, std::future::pending()).await? {
        Driven::Ended(end) => Ok(end),
        Driven::Waits => panic!("it waits"),
    }
}

fn flow(document: &Value) -> Flow {
    let workflow = Workflow::read("test", document, Around::default()).expect("a workflow");
    Flow::begin(workflow, "go", Map::new()).expect("a beginning")
}

fn three_branches(on_error: &str) -> Value {
    json!({"parallel": {
        "branches": [{"name": "a", "model": "m"}, {"name": "b", "model": "m"}, {"name": "c", "model": "m"}],
        "on_branch_error": on_error,
    }})
}

#[tokio::test]
async fn branches_are_open_at_the_same_time() {
    // Nobody comes through before all three have come.
    let barrier = Arc::new(Barrier::new(3));
    let play = Play::new(move |asked| {
        let (barrier, name) = (Arc::clone(&barrier), asked.name.clone());
        Box::pin(async move {
            barrier.wait().await;
            Ok(name)
        })
    });
    let mut flow = flow(&three_branches("fail"));
    let end = driven(&mut flow, &play, &KeptNowhere).await.unwrap();
    assert_eq!(end, FlowEnd::Done("## a\n\na\n\n## b\n\nb\n\n## c\n\nc".to_owned()));
}

#[tokio::test]
async fn what_nobody_waits_for_is_closed() {
    let play = Play::new(|asked| {
        if asked.name == "b" {
            Box::pin(std::future::ready(Err("upstream")))
        } else {
            Box::pin(std::future::pending())
        }
    });
    let mut flow = flow(&three_branches("fail"));
    let end = driven(&mut flow, &play, &KeptNowhere).await.unwrap();
    assert!(matches!(end, FlowEnd::Failed(failure) if failure.code == "branch_failed"));
    assert_eq!(play.dropped.load(Ordering::SeqCst), 2);
    let states: Vec<StepStatus> = flow.report().steps.iter().map(|step| step.status).collect();
    assert_eq!(states, [StepStatus::Skipped, StepStatus::Failed, StepStatus::Skipped]);
}

#[tokio::test]
async fn an_answer_that_is_not_right_is_asked_for_again() {
    let play = Play::new(|asked| {
        let said =
            asked.wrong.as_ref().map_or_else(|| "no".to_owned(), |(before, why)| format!("{before}: {why}"));
        Box::pin(std::future::ready(Ok(said)))
    });
    let document = json!({"sequence": [{"name": "s", "model": "m", "validation": {"schema": {}, "on_failure": "retry"}}]});
    let end = driven(&mut flow(&document), &play, &KeptNowhere).await.unwrap();
    assert_eq!(end, FlowEnd::Done("no: too short".to_owned()));
}

/// Keeps every state as text, and refuses from a number of states on.
struct Keeper {
    kept: Mutex<Vec<String>>,
    refuses_after: usize,
}

impl FlowKeeper for Keeper {
    fn keep<'a>(&'a self, flow: &'a Flow) -> BoxFuture<'a, Result<(), Halted>> {
        let mut kept = self.kept.lock().unwrap();
        let refuses = kept.len() >= self.refuses_after;
        if !refuses {
            kept.push(serde_json::to_string(flow).unwrap());
        }
        Box::pin(std::future::ready(if refuses { Err(Halted) } else { Ok(()) }))
    }
}

#[tokio::test]
async fn nothing_is_asked_before_it_is_kept_and_another_process_goes_on() {
    let document = json!({"sequence": [
        {"name": "one", "model": "m"}, {"name": "two", "model": "m"}, {"name": "three", "model": "m"},
    ]});
    let says = |asked: &AskedStep| -> BoxFuture<'static, Result<String, &'static str>> {
        let said = format!("{}({})", asked.name, asked.input);
        Box::pin(std::future::ready(Ok(said)))
    };
    for states in 0..5 {
        let play = Play::new(says);
        let keeper = Keeper { kept: Mutex::default(), refuses_after: states };
        let came = driven(&mut flow(&document), &play, &keeper).await;
        let kept = keeper.kept.into_inner().unwrap();
        // A state is kept before each step, and one at the end.
        assert_eq!(came.is_ok(), states == 4, "{states}");
        assert_eq!(play.asked.lock().unwrap().len(), states.min(3));
        let Some(last) = kept.last() else { continue };
        let mut taken_up: Flow = serde_json::from_str(last).unwrap();
        taken_up.resume();
        let again = Play::new(says);
        let end = driven(&mut taken_up, &again, &KeptNowhere).await.unwrap();
        assert_eq!(end, FlowEnd::Done("three(two(one(go)))".to_owned()));
        // Those that had answered when the state was kept are not asked again.
        assert_eq!(again.asked.lock().unwrap().len(), 4 - states);
    }
}

#[tokio::test]
async fn a_step_that_waits_for_a_word_holds_nobody_up() {
    let play = Play::new(|asked| {
        Box::pin(std::future::ready(if asked.name == "b" { Err("waits") } else { Ok(asked.name.clone()) }))
    });
    let mut flow = flow(&three_branches("skip"));
    assert_eq!(drive(&mut flow, &play, &KeptNowhere, std::future::pending()).await, Ok(Driven::Waits));
    let states: Vec<StepStatus> = flow.report().steps.iter().map(|step| step.status).collect();
    assert_eq!(states, [StepStatus::Completed, StepStatus::Running, StepStatus::Completed]);
    flow.resume();
    let again = Play::new(|asked| Box::pin(std::future::ready(Ok(asked.name.clone()))));
    let end = driven(&mut flow, &again, &KeptNowhere).await;
    assert_eq!(end, Ok(FlowEnd::Done("## a\n\na\n\n## b\n\nb\n\n## c\n\nc".to_owned())));
    assert_eq!(*again.asked.lock().unwrap(), ["b"], "only that one is asked again");
    assert_eq!(flow.report().steps[1].attempts, 1, "as the same attempt");
}

#[tokio::test]
async fn a_workflow_that_is_stopped_closes_what_is_under_way() {
    let play = Play::new(|_asked| Box::pin(std::future::pending()));
    let mut flow = flow(&three_branches("fail"));
    let stop = async {
        while play.asked.lock().unwrap().len() < 3 {
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(drive(&mut flow, &play, &KeptNowhere, stop).await, Err(Halted));
    assert_eq!(play.dropped.load(Ordering::SeqCst), 3);
    assert_eq!(flow.under_way().count(), 3, "who goes on with it asks them");
}

#[tokio::test]
async fn a_step_that_breaks_ends_the_workflow() {
    let play = Play::new(|asked| {
        let broken = asked.name == "b";
        Box::pin(async move {
            assert!(!broken, "broken for this test");
            Ok(String::new())
        })
    });
    let end = driven(&mut flow(&three_branches("skip")), &play, &KeptNowhere).await;
    assert!(matches!(end, Ok(FlowEnd::Failed(failure)) if failure.code == "internal"));
}
