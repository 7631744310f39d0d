//! Passes what Baton has no surface for to the one provider it names, audited like everything else.

use baton_audit::{DecisionKind, Labels};
use baton_model::{Fault, FaultKind, ModelName, ProviderName, RequestId, Target};
use baton_net::body::read_to_end;
use baton_policy::{Candidate, Capabilities, Inputs, PLANNER_VERSION, Plan, Planned, plan};
use baton_telemetry::genai::attempt_span;
use baton_upstream::{Call, CallPath, Credential, RawPath, UpstreamBody};
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::attempt::{ERROR_LIMIT, shown};
use crate::engine::{internal, not_recordable, unresolved};
use crate::features::estimate;
use crate::health::{Attempted, Form};
use crate::ledger::{OpenAttempt, Terms};
use crate::prepare::{Converted, prepare};
use crate::versions::Drawing;
use crate::{AnswerStream, Ask, Byok, Caller, Engine, Head, Refusal, RefusalKind, Reply, ReplyBody};

/// A request to be passed on as it is.
#[derive(Debug)]
pub struct Pass {
    /// The HTTP request's id.
    pub request: RequestId,
    /// The path as matched.
    pub surface: &'static str,
    /// Who asks.
    pub caller: Caller,
    /// Its method.
    pub method: Method,
    /// The path below `/v1`.
    pub path: RawPath,
    /// The query.
    pub query: Option<String>,
    /// Which provider.
    pub provider: ProviderName,
    /// The model that the body names, where it names one.
    pub model: Option<String>,
    /// Its content type.
    pub content_type: Option<HeaderValue>,
    /// Client headers that go on to the provider.
    pub forward: HeaderMap,
    /// Its body.
    pub body: Vec<Bytes>,
    /// Session, user, tags.
    pub labels: Labels,
    /// The client's own provider key.
    pub byok: Option<Byok>,
}

/// A count of input tokens.
#[derive(Debug)]
pub enum TokenCount {
    /// The provider's own answer.
    Provider(Box<Reply>),
    /// From the bytes.
    Estimated(u64),
}

impl Engine {
    /// Passes a request on and streams back what comes.
    ///
    /// # Errors
    /// [`Refusal`] when the key may not, the provider is unknown or no answer came. An error
    /// answer of the provider is an answer here.
    pub async fn pass(&self, pass: Pass) -> Result<Reply, Refusal> {
        self.admit()?;
        let settings = self.settings();
        let Some(upstream) = settings.catalog.upstream(&pass.provider).cloned() else {
            return Err(Refusal::new(
                RefusalKind::NoProvider,
                format!("the provider `{}` is not configured", pass.provider),
            ));
        };
        // A key that is held to a list of models may only pass what names one of them.
        let candidate = candidate(&pass)?;
        let catalog = &settings.catalog;
        let inputs = Inputs {
            policy: catalog.pass_policy().reference.clone(),
            knowledge: catalog.knowledge_version().to_owned(),
            candidates: vec![candidate.clone()],
            key_models: pass.caller.models.clone(),
            passes: Some(crate::ledger::cut(pass.path.as_str(), 120).to_owned()),
            ..Inputs::default()
        };
        let planned = match plan(catalog.pass_policy(), catalog.knowledge(), &inputs) {
            Planned::Plan(planned) if !planned.order.is_empty() => planned,
            Planned::Plan(_) | Planned::Ask(_) => {
                return Err(Refusal::new(
                    RefusalKind::NotAllowed,
                    "this key may not use the model, or the request names none",
                ));
            }
        };
        let target = candidate.target.clone();
        let decision = self.pass_decision(&pass, &settings.version, candidate, inputs, planned);
        let mut head = Head {
            handoffs: 0,
            run: decision.run,
            decision: decision.id,
            target: target.to_string(),
            provider: target.provider.to_string(),
            policy: "pass-through@built-in".to_owned(),
            attempts: 1,
            reason: decision.reason.code.as_str(),
            status: 200,
            upstream: HeaderMap::new(),
            table: Vec::new(),
        };
        let span = attempt_span(&target, target.provider.as_str(), false, &decision.id);
        let brings_key = pass.byok.as_ref().is_some_and(|byok| byok.provider == target.provider);
        let picked = (!brings_key).then(|| self.credential(&target, upstream.credential_count()));
        let turn = picked.as_ref().map_or(0, |picked| picked.index);
        let terms = Terms {
            price: None,
            input_estimate: 0,
            attempted: Attempted { credential: picked, probe: None },
            form: Form::Whole,
            cooldown: catalog.default_policy().cooldown(),
            conversation: None,
        };
        let mut open = OpenAttempt::begin(self, decision, target.clone(), terms, span)
            .map_err(|error| not_recordable(&error))?;
        let credential = match pass.byok {
            Some(byok) if brings_key => Credential::Byok(byok.key),
            _ => Credential::Own(turn),
        };
        let call = Call {
            path: CallPath::Raw { method: pass.method, path: pass.path, content_type: pass.content_type },
            body: pass.body,
            stream: false,
            forward: pass.forward,
            query: pass.query,
            credential: credential.clone(),
            connect: None,
        };
        let timeouts = *settings.catalog.default_policy().timeouts();
        let sent = timeout(timeouts.total, upstream.send(call)).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(fault)) => return Err(failed(open, fault, head)),
            Err(_elapsed) => {
                return Err(failed(
                    open,
                    Fault::new(FaultKind::Timeout, "the upstream did not answer in time"),
                    head,
                ));
            }
        };
        if let Err(error) = open.synced().await {
            open.fail(&internal("the decision could not be synced"));
            return Err(not_recordable(&error));
        }
        open.seen.http_status = Some(response.status.as_u16());
        if matches!(response.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            && matches!(credential, Credential::Own(_))
        {
            // Our key was refused, not the caller's: that is said in our words.
            let body = timeout(timeouts.total, read_to_end(response.body, ERROR_LIMIT)).await;
            let body = body.ok().and_then(Result::ok).unwrap_or_default();
            let mut fault = upstream.fault(&credential, response.status, &response.headers, &body);
            fault.kind = FaultKind::Unauthorized;
            return Err(failed(open, fault, head));
        }
        open.seen.content_sent = true;
        open.note_content();
        head.status = response.status.as_u16();
        head.upstream = shown(&response.headers);
        if let Some(content_type) = response.headers.get(CONTENT_TYPE) {
            head.upstream.insert(CONTENT_TYPE, content_type.clone());
        }
        let flow = Passing { body: response.body, open, status: head.status, idle: timeouts.idle };
        Ok(Reply { head, body: ReplyBody::Stream(AnswerStream::new(stream::unfold(Some(flow), next))) })
    }

    /// Counts the tokens of a request: by the provider where it speaks the client's dialect, else
    /// estimated from the bytes.
    ///
    /// # Errors
    /// [`Refusal`] as for an answer.
    pub async fn count_tokens(&self, ask: &Ask) -> Result<TokenCount, Refusal> {
        let settings = self.settings();
        let stored = self.outlook.stored.load_full();
        let drawing = Drawing::new(&stored, ask);
        let pool = settings.catalog.resolve_among(&ask.models, None, drawing).map_err(unresolved)?;
        let Some(candidate) = pool.candidates.into_iter().next() else {
            return Err(Refusal::new(RefusalKind::Invalid, "no model was named"));
        };
        let target = candidate.target;
        let names = [candidate.model.to_string(), target.to_string()];
        let allowed = |models: &Vec<String>| {
            models.iter().any(|pattern| names.iter().any(|name| baton_policy::covers(pattern, name)))
        };
        if !ask.caller.models.as_ref().is_none_or(allowed) {
            return Err(Refusal::new(RefusalKind::NotAllowed, "this key may not use the model"));
        }
        let upstream =
            settings.catalog.upstream(&target.provider).filter(|upstream| upstream.speaks(ask.dialect));
        let Some(upstream) = upstream else {
            return Ok(TokenCount::Estimated(estimate(ask.body.body().len())));
        };
        let prepared =
            prepare(ask, &Converted::default(), upstream, &target, &Capabilities::default(), None, None)?;
        let pass = Pass {
            request: ask.request,
            surface: ask.surface,
            caller: ask.caller.clone(),
            method: Method::POST,
            path: "/messages/count_tokens".parse().map_err(|error: baton_upstream::RawPathError| {
                Refusal::new(RefusalKind::NoProvider, error.to_string())
            })?,
            query: ask.query.clone(),
            provider: target.provider,
            model: Some(target.model.to_string()),
            content_type: Some(HeaderValue::from_static("application/json")),
            forward: ask.forward.clone(),
            body: prepared.body,
            labels: ask.labels.clone(),
            byok: ask.byok.clone(),
        };
        self.pass(pass).await.map(Box::new).map(TokenCount::Provider)
    }

    fn pass_decision(
        &self,
        pass: &Pass,
        config: &str,
        candidate: Candidate,
        inputs: Inputs,
        planned: Plan,
    ) -> baton_audit::Decision {
        let target = candidate.target;
        baton_audit::Decision {
            id: self.ids.decision(),
            run: self.ids.run(),
            request: pass.request,
            parent: None,
            at_ms: self.ids.now_ms(),
            turn: 1,
            hop: 1,
            kind: DecisionKind::Select,
            principal: pass.caller.principal.clone(),
            surface: pass.surface.to_owned(),
            requested: pass.model.iter().map(|model| crate::ledger::cut(model, 256).to_owned()).collect(),
            from: None,
            reason: planned.reason,
            to: Some(target),
            to_model: Some(candidate.model),
            attempt: true,
            planner: PLANNER_VERSION,
            config: config.to_owned(),
            inputs: Some(Box::new(inputs)),
            table: planned.table,
            shadow: None,
            handoff: None,
            tools: Vec::new(),
            steps: Vec::new(),
            dropped_parameters: Vec::new(),
            ignored_parameters: Vec::new(),
            labels: pass.labels.clone(),
        }
    }
}

fn candidate(pass: &Pass) -> Result<Candidate, Refusal> {
    let prefix = format!("{}/", pass.provider);
    let named = pass.model.as_deref().map_or("-", |model| model.strip_prefix(&prefix).unwrap_or(model));
    let model: ModelName = named.parse().map_err(|error| {
        let mut refusal =
            Refusal::new(RefusalKind::Invalid, format!("`model` is not a model's name: {error}"));
        refusal.param = Some("model".to_owned());
        refusal
    })?;
    let target = Target { provider: pass.provider.clone(), model: model.clone() };
    Ok(Candidate::named(model, target))
}

fn failed(open: OpenAttempt, fault: Fault, head: Head) -> Refusal {
    open.fail(&fault);
    Refusal::failed(fault, head)
}

struct Passing {
    body: UpstreamBody,
    open: OpenAttempt,
    status: u16,
    idle: std::time::Duration,
}

async fn next(flow: Option<Passing>) -> Option<(Result<Bytes, Fault>, Option<Passing>)> {
    let mut flow = flow?;
    loop {
        match timeout(flow.idle, flow.body.frame()).await {
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    flow.open.seen.bytes += u64::try_from(data.len()).unwrap_or(u64::MAX);
                    return Some((Ok(data), Some(flow)));
                }
            }
            Ok(None) => {
                flow.open.seen.upstream_done = true;
                if (200..400).contains(&flow.status) {
                    flow.open.succeed();
                } else {
                    let kind =
                        if flow.status >= 500 { FaultKind::ServerError } else { FaultKind::InvalidRequest };
                    flow.open.fail(&Fault::new(kind, "the provider answered with an error"));
                }
                return None;
            }
            Ok(Some(Err(fault))) => {
                flow.open.fail(&fault);
                return Some((Err(fault), None));
            }
            Err(_elapsed) => {
                let fault = Fault::new(FaultKind::Timeout, "the upstream's answer stopped coming");
                flow.open.fail(&fault);
                return Some((Err(fault), None));
            }
        }
    }
}
