//! Agents in the background: they do tasks while the one who gave them goes on.
//!
//! Each has a run of its own within the client's: it draws on the same purse, its decisions stand in the same
//! chain, and it ends with the client's run at the latest.
//!
//! - Start with [`Way::call_background`].
//! - **Invariant:** nobody works in the background once the run is over: whoever is left is stopped.
//! - **Invariant:** what one of them changes in the context stays its own.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant as Clock};

use baton_audit::{DecisionKind, HandoffNote, Record};
use baton_model::{PartKind, RawJson};
use baton_policy::{AgentMoveBy, Reason, ReasonCode, ReasonSource};
use baton_run::{Event, Limits, Machine, Task, Terms, ToolCall};
use baton_tools::{Called, OfferedTool};
use futures_util::future::{BoxFuture, join_all};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::plan::Edits;
use super::{Absent, Agents, PREFIX, Prospects, Way, request_of};
use crate::Refusal;
use crate::attempt::WholeTurn;
use crate::course::purse::{Aside, Purse};
use crate::course::{Keeping, Stage};
use crate::engine::not_recordable;
use crate::report::Report;

/// What its tools belong to.
const SERVER: &str = "background_agents";

/// The longest that an agent waits for others at once.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// The most tasks that are waited for at once.
const MOST_WAITED_FOR: usize = 100;

/// The most bytes of a result that are told.
const MOST_OUTPUT: usize = 256 * 1024;

/// The agents that one run has in the background.
#[derive(Default)]
pub(super) struct Background {
    jobs: Vec<Job>,
    working: JoinSet<()>,
}

/// A task that is done in the background.
struct Job {
    id: String,
    agent: usize,
    state: watch::Receiver<State>,
    abort: AbortHandle,
}

/// Where a task has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Working,
    Completed(String),
    Failed(String),
    Stopped,
}

impl State {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Working => "running",
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
            Self::Stopped => "stopped",
        }
    }

    const fn output(&self) -> Option<&String> {
        match self {
            Self::Completed(output) | Self::Failed(output) => Some(output),
            Self::Working | Self::Stopped => None,
        }
    }
}

impl Job {
    /// Where it is. One that was cut off has stopped.
    fn state(&self) -> State {
        let state = self.state.borrow().clone();
        if state == State::Working && self.state.has_changed().is_err() { State::Stopped } else { state }
    }

    async fn ended(&self) {
        let mut state = self.state.clone();
        // Cut off is an end too.
        drop(state.wait_for(|state| *state != State::Working).await);
    }
}

/// What the tools are told.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    agent: Option<String>,
    task_id: Option<String>,
    task_ids: Vec<String>,
    timeout: Option<u64>,
}

/// The five tools, as they are offered.
pub(super) fn tools() -> &'static [OfferedTool] {
    static TOOLS: LazyLock<Vec<OfferedTool>> = LazyLock::new(|| {
        let text = |about: &str| json!({ "type": "string", "description": about });
        let id = || json!({ "task_id": text("The task, as `run_background_agent` named it.") });
        let seconds = json!({ "type": "integer", "minimum": 0, "maximum": LONGEST_WAIT.as_secs() });
        let rows = [
            (
                "run_background_agent",
                "Give another agent a task and go on while it works. The answer names the task.",
                json!({
                    "agent": text("The agent."),
                    "task": text("What is to be done, with all that has to be known for it."),
                    "expected_output": text("The form that the result should have."),
                }),
                &["agent", "task"][..],
            ),
            ("list_background_agents", "The tasks that were given so, and where they are.", json!({}), &[]),
            ("view_background_agent", "Where a task is, and its result.", id(), &["task_id"]),
            ("stop_background_agent", "Stop a task.", id(), &["task_id"]),
            (
                "wait_background_agents",
                "Wait until tasks have ended, and get their results.",
                json!({
                    "task_ids": { "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": MOST_WAITED_FOR },
                    "timeout": seconds,
                }),
                &["task_ids"],
            ),
        ];
        let offered = rows.into_iter().filter_map(|(name, about, properties, required)| {
            let schema = json!({
                "type": "object", "properties": properties, "required": required, "additionalProperties": false,
            });
            Some(OfferedTool {
                name: name.to_owned(),
                server: SERVER.to_owned(),
                tool: name.to_owned(),
                description: Some(about.to_owned()),
                schema: RawJson::of(&schema).ok()?,
                hash: String::new(),
            })
        });
        offered.collect()
    });
    &TOOLS
}

impl Way {
    /// Whether a call of this name is one of these, made by an agent that has them.
    pub(in crate::course) fn is_background(&self, name: &str) -> bool {
        let agent = self.agents.as_ref().and_then(|agents| agents.agent(self.machine.active()));
        agent.is_some_and(|agent| agent.background) && tools().iter().any(|tool| tool.name == name)
    }

    /// Carries such a call out.
    pub(in crate::course) async fn call_background(&mut self, call: &ToolCall) -> Called {
        let began = Clock::now();
        let asked: Asked = serde_json::from_str(&call.arguments).unwrap_or_default();
        let done = match call.name.as_str() {
            "run_background_agent" => self.begin(&asked, &call.arguments),
            "list_background_agents" => Ok(self.listed()),
            "view_background_agent" => self.job(&asked).map(|(agents, job)| agents.shown(job)),
            "stop_background_agent" => self.job(&asked).map(|(agents, job)| {
                job.abort.abort();
                json!({ "task_id": job.id, "agent": agents.name(job.agent), "status": "stopped" })
            }),
            _ => self.wait(&asked).await,
        };
        let is_error = done.is_err();
        let result = done.unwrap_or_else(Value::String);
        let text = result.as_str().map_or_else(|| result.to_string(), ToOwned::to_owned);
        Called {
            server: SERVER.to_owned(),
            tool: call.name.clone(),
            is_error,
            code: None,
            bytes: text.len(),
            text,
            result,
            took: began.elapsed(),
        }
    }

    /// Has an agent begin with a task.
    fn begin(&mut self, asked: &Asked, arguments: &str) -> Result<Value, String> {
        let from = self.machine.active();
        let team = self.machine.terms().team.clone().unwrap_or_default();
        let reached = team.agent(from).map(|agent| agent.errands.as_slice()).unwrap_or_default();
        let named = asked.agent.as_deref().and_then(|name| team.place(name));
        let Some(to) = named.filter(|to| reached.iter().any(|errand| errand.to == *to)) else {
            let name = |at: usize| self.machine.terms().members.name(at);
            let names: Vec<&str> = reached.iter().map(|errand| name(errand.to)).collect();
            return Err(format!(
                "Agent {} cannot give that agent a task. Available agent IDs are: {}",
                name(from),
                names.join(", ")
            ));
        };
        let task = self.machine.task_for(to, arguments).map_err(|(text, _cause)| text)?;
        let agents = self.agents.as_ref().ok_or("there are no agents")?;
        let number = agents.purse.begin_job()?;
        let id = format!("task_{number}");
        let agent = agents.name(to).to_owned();
        let (sender, state) = watch::channel(State::default());
        let place = InUse(agents.purse.shared());
        let Some(child) = self.child(to, from, &task) else {
            return Err("the task cannot be given".to_owned());
        };
        let work = work(child, to, task, sender, place);
        let agents = self.agents.as_mut().ok_or("there are no agents")?;
        let abort = agents.background.working.spawn(work);
        agents.background.jobs.push(Job { id: id.clone(), agent: to, state, abort });
        Ok(json!({ "task_id": id, "agent": agent, "status": "running" }))
    }

    /// A run of its own for a task.
    fn child(&self, to: usize, from: usize, task: &Task) -> Option<Self> {
        let agents = self.agents.as_ref()?;
        let name = format!("{PREFIX}{}", agents.name(to));
        let ask = request_of(&self.client, &name, task)?;
        let terms = self.machine.terms();
        let limits = Limits { max_handoffs: terms.limits.max_handoffs, ..terms.limits };
        let mut machine = Machine::new(Terms { limits, ..terms.clone() }, to);
        machine.set_apart(self.machine.busy().collect());
        let prospects = Prospects {
            context: agents.context.clone(),
            offered: agents.offered,
            purse: agents.purse.shared(),
        };
        let mut own = Agents::new(Arc::clone(&agents.crew), to, prospects);
        own.tasked_by = Some(from);
        let mut run = self.run.beside(ask, self.run.time_left());
        run.turn = self.machine.turn();
        run.hop = self.machine.hop();
        Some(Self {
            engine: Arc::clone(&self.engine),
            client: Arc::clone(&self.client),
            run,
            machine,
            legs: Arc::clone(&self.legs),
            basis: self.basis.clone(),
            joiner: None,
            next: None,
            retries: 0,
            failure: None,
            report: Report::of(None),
            tools: None,
            agents: Some(Box::new(own)),
            summary: None,
            kept: None,
            keeping: Keeping::default(),
        })
    }

    fn job(&self, asked: &Asked) -> Result<(&Agents, &Job), String> {
        let agents = self.agents.as_deref().ok_or("there are no agents")?;
        let id = asked.task_id.as_deref().unwrap_or_default();
        let job = agents.background.jobs.iter().find(|job| job.id == id);
        Ok((agents, job.ok_or_else(|| agents.no_such_task())?))
    }

    fn listed(&self) -> Value {
        let all = self.agents.iter().flat_map(|agents| {
            agents.background.jobs.iter().map(|job| {
                let status = job.state();
                json!({ "task_id": job.id, "agent": agents.name(job.agent), "status": status.as_str() })
            })
        });
        Value::Array(all.collect())
    }

    /// Waits for tasks, no longer than the run lasts.
    async fn wait(&self, asked: &Asked) -> Result<Value, String> {
        let agents = self.agents.as_deref().ok_or("there are no agents")?;
        let jobs = &agents.background.jobs;
        if asked.task_ids.is_empty() || asked.task_ids.len() > MOST_WAITED_FOR {
            return Err(format!("name 1 to {MOST_WAITED_FOR} tasks in `task_ids`"));
        }
        let found: Option<Vec<&Job>> =
            asked.task_ids.iter().map(|id| jobs.iter().find(|job| job.id == *id)).collect();
        let found = found.ok_or_else(|| agents.no_such_task())?;
        let patience = asked.timeout.map_or(LONGEST_WAIT, Duration::from_secs).min(LONGEST_WAIT);
        let patience = patience.min(self.run.time_left());
        let all = join_all(found.iter().map(|job| job.ended()));
        drop(tokio::time::timeout(patience, all).await);
        Ok(Value::Array(found.into_iter().map(|job| agents.shown(job)).collect()))
    }

    /// Notes a turn that nobody sees, for whoever waits for it.
    pub(super) fn note_aside(&mut self, turn: &WholeTurn) {
        let texts = turn.answer.parts.iter().filter_map(|part| match &part.kind {
            PartKind::Text(text) | PartKind::Refusal(text) => Some(text.as_str()),
            _ => None,
        });
        let said = texts.collect::<Vec<_>>().join("\n\n");
        let Some(agents) = self.agents.as_mut().filter(|agents| agents.tasked_by.is_some()) else { return };
        agents.said = said;
        let attempts = std::mem::take(&mut self.run.attempts);
        agents.purse.tell(Aside { turns: self.report.take_turns(), attempts });
    }

    /// Stops who still works in the background when the run ends, and records it.
    pub(super) fn end_background(&mut self) -> Result<(), Refusal> {
        let Some(agents) = &mut self.agents else { return Ok(()) };
        let working = agents.background.jobs.iter().filter(|job| job.state() == State::Working);
        let names: Vec<String> = working.map(|job| agents.name(job.agent).to_owned()).collect();
        agents.background.working.abort_all();
        for name in names {
            let text = format!("the task of agent `{name}` ends with the run");
            let reason = Reason { code: ReasonCode::Ended, text, source: ReasonSource::Policy };
            self.record(DecisionKind::Stop, None, None, reason)?;
        }
        Ok(())
    }

    /// Records that a task in the background is done.
    fn note_result(&mut self, to: usize) -> Result<(), Refusal> {
        let Some(agents) = &self.agents else { return Ok(()) };
        let from = agents.tasked_by.map(|from| agents.name(from).to_owned());
        let name = agents.name(to).to_owned();
        let text = format!("agent `{name}` has done its task in the background");
        let reason = Reason { code: ReasonCode::Returned, text, source: ReasonSource::Policy };
        let candidate = agents.tasked_by.and_then(|from| self.candidate(from));
        let engine = Arc::clone(&self.engine);
        let target = self.target(to);
        let mut decision =
            self.run.decision(&engine, DecisionKind::Return, candidate.as_ref(), target, reason);
        decision.attempt = false;
        let note = HandoffNote { from_agent: Some(name), to_agent: from, ..HandoffNote::default() };
        decision.handoff = Some(Box::new(note));
        engine
            .journal
            .append(&Record::Decision(Box::new(decision)))
            .map_err(|error| not_recordable(&error))?;
        Ok(())
    }
}

impl Agents {
    fn shown(&self, job: &Job) -> Value {
        let state = job.state();
        let mut shown = json!({ "task_id": job.id, "agent": self.name(job.agent), "status": state.as_str() });
        if let (Some(members), Some(output)) = (shown.as_object_mut(), state.output()) {
            members.insert("output".to_owned(), Value::from(output.as_str()));
        }
        shown
    }

    fn no_such_task(&self) -> String {
        let ids: Vec<&str> = self.background.jobs.iter().map(|job| job.id.as_str()).collect();
        match ids.as_slice() {
            [] => "there is no such task, nor any other".to_owned(),
            ids => format!("there is no such task; there are {}", ids.join(", ")),
        }
    }
}

/// A place among those who work, until it is dropped.
struct InUse(Purse);

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.end_job();
    }
}

/// Does a task to its end. Boxed, for it may give tasks of the same kind.
fn work(
    mut way: Way,
    to: usize,
    task: Task,
    state: watch::Sender<State>,
    place: InUse,
) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let ended = way.work(to, &task).await;
        drop(place);
        state.send_replace(ended);
    })
}

impl Way {
    async fn work(&mut self, to: usize, task: &Task) -> State {
        let name = self.machine.terms().members.name(to).to_owned();
        match self.arrival(to, AgentMoveBy::Task, Some(task), &Edits::default()).await {
            Ok(()) => self.count_arrival(to, AgentMoveBy::Task),
            Err(Absent::NoModel { reason, .. }) => {
                return State::Failed(format!("agent `{name}` cannot work now ({})", reason.code.as_str()));
            }
            Err(Absent::Refused(_)) => return State::Failed(format!("agent `{name}` cannot work now")),
        }
        match self.advance(Event::Begin).await {
            Stage::End(_) => {}
            Stage::Turn(_) | Stage::Failed(_) => {
                return State::Failed(format!("agent `{name}` could not finish: its models did not answer"));
            }
        }
        if let Err(refusal) = self.note_result(to) {
            return State::Failed(refusal.message);
        }
        let said = self.agents.as_mut().map(|agents| std::mem::take(&mut agents.said)).unwrap_or_default();
        if said.trim().is_empty() {
            return State::Failed(format!("agent `{name}` gave no text"));
        }
        let output = said.get(..said.floor_char_boundary(MOST_OUTPUT)).unwrap_or_default().to_owned();
        State::Completed(output)
    }
}
