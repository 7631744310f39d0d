//! Carries the conversations through the pairs of dialects, and notes what became of each thing that was said.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::OnceLock;

use baton_model::{Answer, Dialect, RawObject, StreamEvent};
use serde_json::Value;

use super::super::fixtures::load;
use super::super::play::Sse;
use super::conversation::{BY_TOOL, Call, Conversation, Failure, Finish, Format, Moment, Reply, Said};
use super::facet::{Facet, Fate, Row, as_said_by, compare};
use super::speaker::Known;
use super::{pairs, speaker};
use crate::{
    AnswerContext, AnswerTool, EncodeTarget, ErrorBody, Feature as F, LOSSES, Loss, StreamOptions, by_tool,
    decode_answer, decode_error, decode_request, encode_answer, encode_error, encode_request, error_word,
    stream_decoder, stream_encoder,
};

/// What became of everything.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) conversations: usize,
    /// Translations that were compared: of requests, of whole and of streamed answers, of errors.
    pub(super) translations: usize,
    pub(super) cells: BTreeMap<(Row, Dialect, Dialect), BTreeSet<Fate>>,
    pub(super) seen: Vec<&'static Loss>,
    pub(super) problems: Vec<String>,
}

/// The run, made once.
pub(super) fn run() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let mut run = Run::default();
        for (name, conversation) in conversations() {
            run.conversations += 1;
            for (client, target) in pairs() {
                let pair = Pair { client, target, conversation: &conversation };
                for step in [Pair::request, Pair::answers, Pair::by_tool, Pair::fault] {
                    // One broken translation must not hide the others.
                    let went = catch_unwind(AssertUnwindSafe(|| step(&pair, &mut run)));
                    let why = match went {
                        Ok(Ok(())) => continue,
                        Ok(Err(why)) => why,
                        Err(panic) => panic_text(&*panic),
                    };
                    run.problems.push(format!("{name}, {client} -> {target}: {why}"));
                }
            }
        }
        run
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

fn conversations() -> Vec<(String, Conversation)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/conversations");
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &Path| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let conversation: Conversation =
            serde_json::from_slice(&load(path)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!conversation.about.is_empty());
        (name, conversation)
    };
    paths.iter().map(|path| read(path)).collect()
}

/// The names of the provider's models. One of Anthropic's takes an effort, the other a budget.
const fn models(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::AnthropicMessages => &["claude-sonnet-5", "claude-sonnet-4-5"],
        Dialect::OpenaiChat | Dialect::OpenaiResponses => &["gpt-5"],
    }
}

struct Pair<'c> {
    client: Dialect,
    target: Dialect,
    conversation: &'c Conversation,
}

impl Pair<'_> {
    fn body(&self) -> RawObject {
        let body = speaker(self.client).ask(&self.conversation.ask);
        RawObject::parse(body.to_string().into_bytes().into()).unwrap()
    }

    fn request(&self, run: &mut Run) -> Result<(), String> {
        models(self.target).iter().try_for_each(|model| self.request_to(model, run))
    }

    fn request_to(&self, model: &str, run: &mut Run) -> Result<(), String> {
        let (client, target) = (speaker(self.client), speaker(self.target));
        let ask = &self.conversation.ask;
        let offers = ask
            .facets()
            .iter()
            .any(|facet| matches!(facet.row.feature, F::Tool | F::VendorTool) && client.says(&facet.row));
        if client.refuses(ask) || (ask.choice.is_some() && !offers) {
            return Ok(());
        }
        let request = decode_request(self.client, &self.body()).map_err(|error| error.to_string())?;
        let to = EncodeTarget { model, stream: false, default_max_tokens: 4_096, shared_members: true };
        let encoded = encode_request(self.target, &request, &to);
        let body: Value = serde_json::from_slice(&encoded.body).unwrap();
        assert_eq!(body["model"], model);
        let meant = self.conversation.ask.facets();
        let meant: Vec<Facet> = meant.into_iter().filter(|facet| client.says(&facet.row)).collect();
        let meant = as_said_by(client.order(), meant);
        let fates = compare(meant, target.hear(&body), target.order())?;
        run.translations += 1;
        for loss in &encoded.lost {
            run.see(loss);
            if !fates.iter().any(|(row, fate)| row.feature == loss.feature && *fate == Fate::Lost) {
                return Err(format!("{} is named as lost, and is there", loss.feature.title()));
            }
        }
        for (row, fate) in fates {
            if fate == Fate::Lost {
                let named = encoded.lost.iter().any(|loss| loss.feature == row.feature);
                let cannot = !target.takes(&row) || has_bounds(row.feature);
                if !(named && cannot) {
                    return Err(format!("{row} is lost: {:?}", encoded.dropped));
                }
            }
            run.note(row, self.client, self.target, fate);
        }
        Ok(())
    }

    fn answers(&self, run: &mut Run) -> Result<(), String> {
        let reply = &self.conversation.reply;
        if self.target == Dialect::AnthropicMessages && has_broken_arguments(reply) {
            return Ok(());
        }
        let body = self.body();
        let (client, target) = (speaker(self.client), speaker(self.target));
        let whole = target.reply(reply).to_string();
        let answer = decode_answer(self.target, whole.as_bytes()).map_err(|fault| fault.to_string())?;
        let whole = self.whole(&answer, &body);
        let streamed = self.streamed(&target.stream(reply), &body)?;
        let (one, other) = (plain(whole.clone()), plain(streamed.clone()));
        // Broken arguments are an object of their own there, which a stream learns too late.
        let broken = self.client == Dialect::AnthropicMessages && has_broken_arguments(reply);
        if one != other && !broken {
            return Err(format!("streamed and whole differ:\n  whole    {one}\n  streamed {other}"));
        }
        for (way, answer) in [("whole", whole), ("streamed", streamed)] {
            if broken && way == "streamed" {
                continue;
            }
            let (word, found) = client.understand(&answer);
            let meant = reply.facets();
            let meant = meant.into_iter().filter(|facet| target.provides(&facet.row)).collect();
            let meant = as_said_by(target.order(), meant);
            let mut fates = compare(meant, found, client.order()).map_err(|why| format!("{way}: {why}"))?;
            fates.insert(Row::of(F::Finish, ""), self.finish(reply, &word)?);
            run.translations += 1;
            for (row, fate) in fates {
                if fate == Fate::Lost {
                    let declared =
                        LOSSES.iter().find(|loss| loss.target == self.client && loss.feature == row.feature);
                    match declared {
                        Some(loss) if !client.shows(&row) => run.see(loss),
                        _ => return Err(format!("{way}: {row} is lost")),
                    }
                }
                run.note(row, self.client, self.target, fate);
            }
        }
        Ok(())
    }

    fn whole(&self, answer: &Answer, body: &RawObject) -> Value {
        let context = AnswerContext { model: "provider/model", created: 1_700_000_000, request: Some(body) };
        serde_json::from_slice(&encode_answer(self.client, answer, &context)).unwrap()
    }

    fn options(body: &RawObject) -> StreamOptions {
        StreamOptions {
            model: Some("provider/model".to_owned()),
            id: "baton".to_owned(),
            created: 1_700_000_000,
            include_usage: true,
            request: Some(body.clone()),
        }
    }

    fn streamed(&self, frames: &[String], body: &RawObject) -> Result<Value, String> {
        self.streamed_through(frames, body, |event, out| out.push(event))
    }

    fn streamed_by(&self, frames: &[String], body: &RawObject, tool: &AnswerTool) -> Result<Value, String> {
        let mut answers = tool.stream();
        self.streamed_through(frames, body, |event, out| answers.push(event, out))
    }

    fn streamed_through(
        &self,
        frames: &[String],
        body: &RawObject,
        mut through: impl FnMut(StreamEvent, &mut Vec<StreamEvent>),
    ) -> Result<Value, String> {
        let mut decoder = stream_decoder(self.target);
        let mut encoder = stream_encoder(self.client, Self::options(body));
        let mut out = Vec::new();
        for (name, data) in Sse::default().push(frames.concat().as_bytes()) {
            let mut events = Vec::new();
            decoder.decode(&name, &data, &mut events).map_err(|fault| fault.to_string())?;
            let mut shown = Vec::new();
            events.into_iter().for_each(|event| through(event, &mut shown));
            shown.iter().for_each(|event| encoder.encode(event, &mut out));
        }
        encoder.end(&mut out);
        speaker(self.client)
            .accumulate(&Sse::default().push(&out))
            .map_err(|error| format!("the SDK raises {error}"))
    }

    /// The same to a model that knows no schemas: what is asked for by a tool comes as an answer, whole and streamed.
    fn by_tool(&self, run: &mut Run) -> Result<(), String> {
        let conversation = self.conversation;
        let Some(Format::Schema { .. }) = &conversation.ask.format else { return Ok(()) };
        let [Said::Text(given)] = conversation.reply.said.as_slice() else { return Ok(()) };
        let body = self.body();
        let request = decode_request(self.client, &body).map_err(|error| error.to_string())?;
        let Some((asked, tool)) = by_tool(&request) else { return Ok(()) };
        let (client, target) = (speaker(self.client), speaker(self.target));
        for model in models(self.target) {
            let to = EncodeTarget { model, stream: false, default_max_tokens: 4_096, shared_members: true };
            let encoded = encode_request(self.target, &asked, &to);
            let heard = target.hear(&serde_json::from_slice(&encoded.body).unwrap());
            let has = |feature: F, value: &str| {
                heard.iter().any(|facet| facet.row.feature == feature && facet.value.contains(value))
            };
            if !has(F::ToolSchema, "properties") || !has(F::ToolChoice, "") || has(F::JsonSchema, "") {
                return Err(format!("the schema does not go by a tool: {heard:?}"));
            }
        }
        let call = Call { id: "call_1".to_owned(), name: tool.name().to_owned(), arguments: given.clone() };
        let reply = Reply { said: vec![Said::Call(call)], finish: Finish::ToolCalls, ..Reply::default() };
        let whole = decode_answer(self.target, target.reply(&reply).to_string().as_bytes());
        let whole = self.whole(&tool.answer(whole.map_err(|fault| fault.to_string())?), &body);
        let streamed = self.streamed_by(&target.stream(&reply), &body, &tool)?;
        for answer in [whole, streamed] {
            let (word, found) = client.understand(&answer);
            let texts: Vec<&Facet> = found.iter().filter(|facet| facet.row.feature == F::Text).collect();
            let called = found.iter().any(|facet| facet.row.feature == F::Call);
            let [text] = texts.as_slice() else { return Err(format!("no answer by a tool: {found:?}")) };
            if text.value != *given || called || word != client.word(Finish::Stop).0 {
                return Err(format!("an answer by a tool became {found:?}, {word}"));
            }
            run.translations += 1;
        }
        let way = Fate::As("the arguments of a tool that has to be called".to_owned());
        run.note(Row::of(F::JsonSchema, BY_TOOL), self.client, self.target, way);
        Ok(())
    }

    fn finish(&self, reply: &Reply, word: &str) -> Result<Fate, String> {
        let finish = speaker(self.target).tells(reply);
        let (expected, known) = speaker(self.client).word(finish);
        // A refusal without a word is told as a filter's, where refusals are words.
        let filtered = finish == Finish::Refusal && word == "content_filter";
        // Where the call itself cannot be told, nothing waits for its result.
        let untold =
            finish == Finish::ToolCalls && !reply.said.iter().any(|said| matches!(said, Said::Call(_)));
        match known {
            _ if untold && self.client != self.target => {
                Ok(Fate::As("a call that only its vendor's API has is no reason to wait".to_owned()))
            }
            Known::Exactly if word == expected => Ok(Fate::Kept),
            Known::Nearly if word == expected => Ok(Fate::As(format!("`{}` as `{word}`", said(finish)))),
            _ if filtered => Ok(Fate::As("a refusal without a word as `content_filter`".to_owned())),
            _ => Err(format!("it ended with `{word}`, and not with `{expected}`")),
        }
    }

    fn fault(&self, run: &mut Run) -> Result<(), String> {
        let Some(failure) = &self.conversation.fault else { return Ok(()) };
        let shown = match failure.place {
            Moment::Before => self.fault_before(failure)?,
            Moment::At => self.fault_in_stream(failure, &[])?,
            Moment::After => {
                let frames = speaker(self.target).stream(&self.conversation.reply);
                self.fault_in_stream(failure, frames.get(..frames.len() * 2 / 3).unwrap())?
            }
        };
        let meant = (error_word(self.client, failure.kind).to_owned(), failure.message.clone());
        if shown != meant {
            return Err(format!("an error {meant:?} became {shown:?}"));
        }
        run.translations += 1;
        run.note(Row::of(F::Fault, ""), self.client, self.target, Fate::Kept);
        Ok(())
    }

    fn fault_before(&self, failure: &Failure) -> Result<(String, String), String> {
        let (status, body) = speaker(self.target).failure(failure.kind, &failure.message);
        let fault = decode_error(self.target, status, body.to_string().as_bytes());
        if fault.kind != failure.kind {
            return Err(format!("{} is read as {}", failure.kind, fault.kind));
        }
        let kind = error_word(self.client, fault.kind);
        let error = ErrorBody {
            kind,
            message: &fault.message,
            param: fault.param.as_deref(),
            code: fault.code.as_deref(),
            request_id: Some("req_1"),
        };
        let body: Value = serde_json::from_slice(&encode_error(self.client, &error)).unwrap();
        Ok(speaker(self.client).error(&body))
    }

    /// The error as the SDK raises it. What was said before is shown, and nothing of it is said twice.
    fn fault_in_stream(&self, failure: &Failure, before: &[String]) -> Result<(String, String), String> {
        let frame = speaker(self.target).failed_frame(failure.kind, &failure.message);
        let mut decoder = stream_decoder(self.target);
        let mut encoder = stream_encoder(self.client, Self::options(&self.body()));
        let (mut out, mut content, mut raised) = (Vec::new(), false, None);
        for (name, data) in Sse::default().push((before.concat() + &frame).as_bytes()) {
            let mut events = Vec::new();
            decoder.decode(&name, &data, &mut events).map_err(|fault| fault.to_string())?;
            for event in &events {
                content |= event.is_content();
                match event {
                    StreamEvent::Error(fault) => raised = Some(fault.clone()),
                    event => encoder.encode(event, &mut out),
                }
            }
        }
        let fault = raised.ok_or("the error is not seen")?;
        if fault.kind != failure.kind || content == before.is_empty() {
            return Err(format!("{} is read as {} (content: {content})", failure.kind, fault.kind));
        }
        let error = ErrorBody {
            kind: error_word(self.client, fault.kind),
            message: &fault.message,
            param: None,
            code: fault.code.as_deref(),
            request_id: Some("req_1"),
        };
        encoder.fail(&error, &mut out);
        match speaker(self.client).accumulate(&Sse::default().push(&out)) {
            Err(error) => Ok(speaker(self.client).error(&error)),
            Ok(answer) => Err(format!("the SDK takes it for an answer: {answer}")),
        }
    }
}

impl Run {
    fn see(&mut self, loss: &'static Loss) {
        if !self.seen.contains(&loss) {
            self.seen.push(loss);
        }
    }

    fn note(&mut self, row: Row, client: Dialect, target: Dialect, fate: Fate) {
        self.cells.entry((row, client, target)).or_default().insert(fate);
    }
}

/// What a dialect takes, but not beyond a limit of its own, or not beside something else.
const fn has_bounds(feature: F) -> bool {
    matches!(
        feature,
        F::Temperature
            | F::TopP
            | F::TopK
            | F::Stop
            | F::OutputLimit
            | F::EndUser
            | F::Effort
            | F::ThinkingBudget
            | F::StrictTool
            | F::ToolChoice
    )
}

fn has_broken_arguments(reply: &Reply) -> bool {
    reply.said.iter().any(|said| match said {
        Said::Call(call) => {
            !serde_json::from_str::<Value>(&call.arguments).is_ok_and(|value| value.is_object())
        }
        _ => false,
    })
}

const fn said(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::StopSequence => "stop_sequence",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
        Finish::Refusal => "refusal",
        Finish::Pause => "pause",
    }
}

/// An answer as an SDK's typed object has it: what is absent is `null`, and numbers of pieces are gone.
fn plain(mut answer: Value) -> Value {
    fn clean(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|key, value| !value.is_null() && key != "index");
                members.values_mut().for_each(clean);
            }
            Value::Array(list) => list.iter_mut().for_each(clean),
            _ => {}
        }
    }
    clean(&mut answer);
    answer
}
