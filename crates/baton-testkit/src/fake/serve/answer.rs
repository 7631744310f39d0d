//! Puts together what is answered: status, headers, body and how it ends.
//!
//! - [`Answer::of_model`] is the ordinary case, [`Answer::of_fault`] the scripted failure.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use serde_json::{Value, json};

use super::body::Pieces;
use super::{Exchange, Question, Vendor};
use crate::fake::frame::{break_utf8, spoil};
use crate::fake::model::{Ask, Reply as Told, answer};
use crate::fake::script::{End, Fault, Pace, Raw};
use crate::fake::shape::Misfit;
use crate::fake::wire::ResetSwitch;
use crate::fake::{anthropic, openai, responses};

const HTML: &str =
    "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>";

/// What a request is answered with.
pub(super) enum Answer {
    /// The connection is closed.
    HangUp,
    /// Nothing, and the connection stays open.
    Silence,
    Reply(Reply),
}

pub(super) struct Reply {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pieces: VecDeque<Bytes>,
    interval: Duration,
    end: End,
    /// The length to announce where the body does not tell it.
    length: Option<usize>,
}

impl Reply {
    pub(super) fn into_response(
        self,
        exchange: Exchange,
        switch: ResetSwitch,
    ) -> Result<Response<Pieces>, http::Error> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        if let Some(length) = self.length {
            response = response.header("content-length", length);
        }
        response.body(Pieces::new(self.pieces, self.interval, self.end, exchange, switch))
    }
}

impl Answer {
    pub(super) fn json(status: u16, vendor: Vendor, body: &Value, id: u64) -> Self {
        Self::bytes(status, vendor, "application/json", body.to_string().into(), id)
    }

    fn bytes(status: u16, vendor: Vendor, kind: &str, body: Bytes, id: u64) -> Self {
        Self::Reply(Reply {
            status,
            headers: headers(vendor, kind, id),
            length: Some(body.len()),
            pieces: [body].into(),
            interval: Duration::ZERO,
            end: End::Whole,
        })
    }

    fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Self::Reply(reply) = &mut self {
            reply.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub(super) fn raw(raw: Raw) -> Self {
        Self::Reply(Reply {
            status: raw.status,
            headers: raw.headers,
            pieces: raw.pieces.into_iter().map(Bytes::from).collect(),
            interval: Duration::ZERO,
            end: raw.then,
            length: None,
        })
    }

    pub(super) fn anthropic_error(status: u16, message: &str, id: u64) -> Self {
        Self::json(status, Vendor::Anthropic, &anthropic::error(status, message, id), id)
    }

    fn error(
        vendor: Vendor,
        status: u16,
        code: Option<&str>,
        param: Option<&str>,
        message: &str,
        id: u64,
    ) -> Self {
        match vendor {
            Vendor::Anthropic => Self::anthropic_error(status, message, id),
            Vendor::OpenAi | Vendor::Responses => {
                Self::json(status, vendor, &openai::error(status, "", code, param, message), id)
            }
        }
    }

    pub(super) fn misfit(vendor: Vendor, misfit: &Misfit, id: u64) -> Self {
        let body = match vendor {
            Vendor::Anthropic => anthropic::refusal(misfit, id),
            Vendor::OpenAi | Vendor::Responses => openai::refusal(misfit),
        };
        Self::json(400, vendor, &body, id)
    }

    pub(super) fn broken_json(vendor: Vendor, error: &serde_json::Error, id: u64) -> Self {
        Self::error(
            vendor,
            400,
            None,
            None,
            &format!("We could not parse the JSON body of your request: {error}"),
            id,
        )
    }

    pub(super) fn unauthorized(vendor: Vendor, id: u64) -> Self {
        Self::error(vendor, 401, Some("invalid_api_key"), None, "Incorrect API key provided.", id)
    }

    pub(super) fn wrong_media_type(vendor: Vendor, id: u64) -> Self {
        Self::error(vendor, 400, None, None, "you must provide a body of type application/json", id)
    }

    pub(super) fn no_such_path(vendor: Vendor, method: &Method, path: &str, id: u64) -> Self {
        Self::error(vendor, 404, Some("unknown_url"), None, &format!("Invalid URL ({method} {path})"), id)
    }

    pub(super) fn no_such_model(vendor: Vendor, model: &str, id: u64) -> Self {
        let message = match vendor {
            Vendor::Anthropic => format!("model: {model}"),
            Vendor::OpenAi | Vendor::Responses => {
                format!("The model `{model}` does not exist or you do not have access to it.")
            }
        };
        Self::error(vendor, 404, Some("model_not_found"), Some("model"), &message, id)
    }

    pub(super) fn counted(ask: &Ask, id: u64) -> Self {
        Self::json(200, Vendor::Anthropic, &anthropic::count(ask), id)
    }

    pub(super) fn embedded(embed: &openai::Embed, id: u64) -> Self {
        Self::json(200, Vendor::OpenAi, &openai::embeddings(embed), id)
    }

    /// The answer of a model, with a fault laid over it where the fault is one of the body.
    pub(super) fn of_model(
        question: &Question,
        reply: &Told,
        pace: Pace,
        fault: Option<Fault>,
        id: u64,
    ) -> Self {
        let (ask, vendor) = (question.ask(), question.vendor());
        if !ask.stream {
            let body = match question {
                Question::Message(ask) => anthropic::whole(ask, reply, id),
                Question::Chat(ask) => openai::whole(ask, reply, id),
                Question::Response(asked) => responses::whole(asked, reply, id),
            };
            return spoil_whole(vendor, body.to_string().into(), fault, id);
        }
        let (frames, error) = match question {
            Question::Message(ask) => {
                (anthropic::stream(ask, reply, id, pace.chunks), anthropic::error_frame(id))
            }
            Question::Chat(ask) => (openai::stream(ask, reply, id, pace.chunks), openai::error_frame()),
            Question::Response(asked) => {
                (responses::stream(asked, reply, id, pace.chunks), responses::error_frame())
            }
        };
        let (frames, end) = spoil(frames, fault, error);
        Self::Reply(Reply {
            status: 200,
            headers: headers(vendor, "text/event-stream; charset=utf-8", id),
            pieces: frames.into(),
            interval: pace.interval,
            end,
            length: None,
        })
    }

    /// The failure that the script asks for.
    pub(super) fn of_fault(question: &Question, fault: Fault, pace: Pace, id: u64) -> Self {
        let (ask, vendor) = (question.ask(), question.vendor());
        let error = |status, code, message| Self::error(vendor, status, code, None, message, id);
        match fault {
            Fault::AcceptThenClose => Self::HangUp,
            Fault::HeaderStall => Self::Silence,
            Fault::BadRequest => Self::error(
                vendor,
                400,
                Some("invalid_value"),
                Some("messages"),
                "Invalid 'messages': the script refuses this request.",
                id,
            ),
            Fault::ContextOverflow => context_overflow(vendor, id),
            Fault::Unauthorized => Self::unauthorized(vendor, id),
            Fault::Forbidden => {
                error(403, Some("permission_denied"), "You are not allowed to sample from this model.")
            }
            Fault::ModelNotFound => Self::no_such_model(vendor, &ask.model, id),
            Fault::RequestTimeout => error(408, None, "Request timed out."),
            Fault::TooLarge => error(413, None, "Request exceeds the maximum size."),
            Fault::RateLimited => error(429, Some("rate_limit_exceeded"), "Rate limit reached."),
            Fault::RateLimitedRetryAfter => {
                error(429, Some("rate_limit_exceeded"), "Rate limit reached.").with_header("retry-after", "1")
            }
            Fault::ServerError => error(500, None, "The server had an error while processing your request."),
            Fault::BadGatewayHtml => Self::bytes(502, vendor, "text/html", HTML.into(), id),
            Fault::Unavailable => {
                error(503, None, "The engine is currently overloaded.").with_header("retry-after", "1")
            }
            Fault::Overloaded => error(529, None, "Overloaded"),
            Fault::WrongContentType => Self::bytes(200, vendor, "text/html", HTML.into(), id),
            Fault::ErrorIn200 => error_in_200(vendor, id),
            Fault::ErrorFirstFrame | Fault::ErrorAfterLifecycle if !ask.stream => error_in_200(vendor, id),
            _ => Self::of_model(question, &answer(ask, None), pace, Some(fault), id),
        }
    }
}

fn headers(vendor: Vendor, kind: &str, id: u64) -> Vec<(String, String)> {
    let name = match vendor {
        Vendor::Anthropic => "request-id",
        Vendor::OpenAi | Vendor::Responses => "x-request-id",
    };
    vec![("content-type".to_owned(), kind.to_owned()), (name.to_owned(), format!("req_fake{id:08}"))]
}

fn error_in_200(vendor: Vendor, id: u64) -> Answer {
    let message = "The server had an error while processing your request.";
    let body = match vendor {
        Vendor::Anthropic => anthropic::error(500, message, id),
        Vendor::OpenAi | Vendor::Responses => openai::error(500, "", None, None, message),
    };
    Answer::json(200, vendor, &body, id)
}

fn context_overflow(vendor: Vendor, id: u64) -> Answer {
    match vendor {
        Vendor::Anthropic => {
            Answer::anthropic_error(400, "prompt is too long: 250000 tokens > 200000 maximum", id)
        }
        Vendor::OpenAi | Vendor::Responses => {
            let message = "This model's maximum context length is 128000 tokens. However, your messages resulted in 250000 tokens.";
            let body = openai::error(400, "", Some("context_length_exceeded"), Some("messages"), message);
            Answer::json(400, vendor, &body, id)
        }
    }
}

/// A body that is not streamed, with a fault laid over it.
fn spoil_whole(vendor: Vendor, body: Bytes, fault: Option<Fault>, id: u64) -> Answer {
    let half = body.slice(..body.len() / 2);
    let (sent, announced, end) = match fault {
        Some(Fault::TruncatedJson | Fault::ErrorAfterContent | Fault::NoFinish) => {
            let length = half.len();
            (half, length, End::Whole)
        }
        Some(Fault::ResetAfterContent) => (half, body.len(), End::Reset),
        Some(Fault::StallAfterContent) => (half, body.len(), End::Stall),
        Some(Fault::InvalidUtf8) => {
            let broken = break_utf8(&body);
            let length = broken.len();
            (broken, length, End::Whole)
        }
        Some(Fault::GarbageFrame) => {
            let broken = Bytes::from(format!("{}]", json!({"choices": "x"})));
            let length = broken.len();
            (broken, length, End::Whole)
        }
        _ => {
            let length = body.len();
            (body, length, End::Whole)
        }
    };
    Answer::Reply(Reply {
        status: 200,
        headers: headers(vendor, "application/json", id),
        pieces: [sent].into(),
        interval: Duration::ZERO,
        end,
        length: Some(announced),
    })
}
