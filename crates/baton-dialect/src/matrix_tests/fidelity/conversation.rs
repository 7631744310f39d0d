//! A conversation in no dialect: what is asked and answered, written down once, and what of it a reader must find.
//!
//! - Start with [`Conversation`], one file under `fixtures/conversations`.
//! - [`Ask::facets`] and [`Reply::facets`] say what must arrive.

use std::collections::BTreeMap;

use baton_model::{Dialect, FaultKind};
use serde::Deserialize;
use serde_json::Value;

use super::facet::{Facet, Row, canonical};
use crate::Feature as F;

/// A prompt-cache mark with members that no API has.
pub(super) const ODD: &str = "of another kind";

/// An answer of a schema from a model that knows none.
pub(super) const BY_TOOL: &str = "by a tool";

/// The kinds of document.
pub(super) const BY_ADDRESS: &str = "by its address";
pub(super) const PDF: &str = "PDF";
pub(super) const OTHER_FILE: &str = "another kind of file";

/// The kind of a document at an address, which may hold its bytes.
pub(super) fn kind_of(address: &str) -> &'static str {
    match address {
        _ if address.starts_with("data:application/pdf") => PDF,
        _ if address.starts_with("data:") => OTHER_FILE,
        _ => BY_ADDRESS,
    }
}

/// Between the texts of one result.
pub(super) const PIECE: &str = "\u{1}";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Conversation {
    /// What it is there for, in a sentence.
    pub(super) about: String,
    #[serde(default)]
    pub(super) ask: Ask,
    #[serde(default)]
    pub(super) reply: Reply,
    pub(super) fault: Option<Failure>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Ask {
    pub(super) system: Vec<Said>,
    pub(super) turns: Vec<Turn>,
    pub(super) tools: Vec<Offer>,
    pub(super) choice: Option<Choice>,
    pub(super) parallel: Option<bool>,
    pub(super) format: Option<Format>,
    pub(super) limit: Option<u64>,
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) top_k: Option<u64>,
    pub(super) stop: Vec<String>,
    pub(super) seed: Option<i64>,
    pub(super) frequency_penalty: Option<f64>,
    pub(super) presence_penalty: Option<f64>,
    pub(super) effort: Option<String>,
    pub(super) budget: Option<u64>,
    pub(super) user: Option<String>,
    pub(super) logprobs: Option<u64>,
    /// Members that some dialects have and others do not, by the names they have on the wire.
    pub(super) members: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Turn {
    System(String),
    User(Vec<Said>),
    Assistant(Vec<Said>),
    Results(Vec<Outcome>),
}

/// Something that is said, shown, thought or done.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Said {
    Text(String),
    /// A text with a prompt-cache mark on it.
    Marked(String),
    /// The same with a mark that only its maker understands.
    OddlyMarked(String),
    /// The name of who speaks.
    By(String),
    Image(Picture),
    Document(Paper),
    Audio {
        format: String,
        data: String,
    },
    Refusal(String),
    Thinking {
        maker: Dialect,
        text: String,
        #[serde(default)]
        proof: Option<String>,
    },
    /// Thinking that only its maker can read.
    Sealed {
        maker: Dialect,
        data: String,
    },
    Call(Call),
    /// What only its maker's API has, as it stands there.
    Vendor {
        maker: Dialect,
        item: Value,
    },
    /// A text with its source.
    Cited {
        text: String,
        url: String,
        title: String,
    },
    /// A spoken answer.
    Spoken(Value),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Picture {
    pub(super) url: Option<String>,
    pub(super) r#type: Option<String>,
    pub(super) data: Option<String>,
    pub(super) detail: Option<String>,
}

impl Picture {
    /// Its address, which may hold its bytes.
    pub(super) fn address(&self) -> String {
        match (&self.url, &self.r#type, &self.data) {
            (Some(url), ..) => url.clone(),
            (None, Some(kind), Some(data)) => format!("data:{kind};base64,{data}"),
            _ => panic!("an image without bytes"),
        }
    }
}

/// A document: at an address, or its bytes, or plain text.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paper {
    pub(super) name: Option<String>,
    pub(super) url: Option<String>,
    pub(super) r#type: Option<String>,
    pub(super) data: Option<String>,
}

impl Paper {
    pub(super) fn address(&self) -> String {
        match (&self.url, &self.r#type, &self.data) {
            (Some(url), ..) => url.clone(),
            (None, Some(kind), Some(data)) => format!("data:{kind};base64,{data}"),
            _ => panic!("a document without bytes"),
        }
    }

    /// Where its bytes are.
    fn kind(&self) -> &'static str {
        match (&self.url, self.r#type.as_deref()) {
            (Some(_), _) => BY_ADDRESS,
            (None, Some("application/pdf")) => PDF,
            (None, _) => OTHER_FILE,
        }
    }

    fn value(&self) -> String {
        format!("{} {}", self.name.as_deref().unwrap_or("-"), self.address())
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    /// As the model wrote them.
    pub(super) arguments: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outcome {
    /// The id of its call.
    pub(super) of: String,
    #[serde(default)]
    pub(super) failed: bool,
    pub(super) said: Vec<Said>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Offer {
    Tool {
        name: String,
        description: Option<String>,
        schema: Option<Value>,
        #[serde(default)]
        strict: bool,
    },
    Vendor {
        maker: Dialect,
        tool: Value,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Choice {
    Auto,
    None,
    Required,
    Tool(String),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Format {
    Object,
    Schema { name: String, schema: Value },
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Reply {
    pub(super) said: Vec<Said>,
    pub(super) finish: Finish,
    pub(super) stop_sequence: Option<String>,
    pub(super) usage: Spent,
    /// Tokens with their log probabilities, in the form that OpenAI's dialects share.
    pub(super) logprobs: Vec<Value>,
}

impl Default for Reply {
    fn default() -> Self {
        Self {
            said: vec![Said::Text("Good.".to_owned())],
            finish: Finish::Stop,
            stop_sequence: None,
            usage: Spent::default(),
            logprobs: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Finish {
    Stop,
    StopSequence,
    Length,
    ToolCalls,
    ContentFilter,
    Refusal,
    Pause,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Spent {
    pub(super) input: u64,
    pub(super) cached: u64,
    pub(super) written: u64,
    pub(super) output: u64,
    pub(super) thinking: u64,
}

impl Default for Spent {
    fn default() -> Self {
        Self { input: 31, cached: 0, written: 0, output: 12, thinking: 0 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failure {
    pub(super) place: Moment,
    pub(super) kind: FaultKind,
    pub(super) message: String,
}

/// When a provider fails.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Moment {
    /// In the place of an answer.
    Before,
    /// In the first event of a stream.
    At,
    /// In a stream that said something.
    After,
}

impl Ask {
    /// What a reader must find, in order: what is said first, then how it is asked.
    pub(super) fn facets(&self) -> Vec<Facet> {
        let mut out = Vec::new();
        for said in &self.system {
            said.tell(F::SystemText, &mut out);
        }
        let mut calls: BTreeMap<&str, String> = BTreeMap::new();
        for turn in &self.turns {
            match turn {
                Turn::System(text) => out.push(Facet::new(F::LaterInstruction, text)),
                Turn::User(said) => said.iter().for_each(|said| said.tell(F::UserText, &mut out)),
                Turn::Assistant(said) => {
                    for said in said {
                        if let Said::Call(call) = said {
                            calls.insert(&call.id, call.value());
                        }
                        said.tell(F::AssistantText, &mut out);
                    }
                }
                Turn::Results(outcomes) => {
                    for outcome in outcomes {
                        let call = calls.get(outcome.of.as_str()).map_or("nothing", String::as_str);
                        outcome.tell(call, &mut out);
                    }
                }
            }
        }
        self.tell_settings(&mut out);
        out
    }

    fn tell_settings(&self, out: &mut Vec<Facet>) {
        for tool in &self.tools {
            match tool {
                Offer::Tool { name, description, schema, strict } => {
                    let described = format!("{name}: {}", description.as_deref().unwrap_or_default());
                    out.push(Facet::new(F::Tool, &described));
                    if let Some(schema) = schema {
                        out.push(Facet::new(F::ToolSchema, &schema.to_string()));
                    }
                    if *strict {
                        out.push(Facet::new(F::StrictTool, name));
                    }
                }
                Offer::Vendor { maker, tool } => {
                    out.push(Facet::of(F::VendorTool, maker.as_str(), &tool.to_string()));
                }
            }
        }
        let choice = self.choice.as_ref().map(|choice| match choice {
            Choice::Auto => "auto",
            Choice::None => "none",
            Choice::Required => "required",
            Choice::Tool(name) => name,
        });
        let mut tell = |feature, value: Option<String>| {
            out.extend(value.map(|value| Facet::new(feature, &value)));
        };
        tell(F::ToolChoice, choice.map(str::to_owned));
        tell(F::ParallelCalls, self.parallel.map(|parallel| parallel.to_string()));
        match &self.format {
            None => {}
            Some(Format::Object) => tell(F::JsonObject, Some("some".to_owned())),
            Some(Format::Schema { schema, .. }) => tell(F::JsonSchema, Some(schema.to_string())),
        }
        tell(F::OutputLimit, self.limit.map(|limit| limit.to_string()));
        tell(F::Temperature, self.temperature.map(|value| value.to_string()));
        tell(F::TopP, self.top_p.map(|value| value.to_string()));
        tell(F::TopK, self.top_k.map(|value| value.to_string()));
        for stop in &self.stop {
            tell(F::Stop, Some(stop.clone()));
        }
        tell(F::Seed, self.seed.map(|value| value.to_string()));
        tell(F::Penalties, self.frequency_penalty.map(|value| format!("frequency {value}")));
        tell(F::Penalties, self.presence_penalty.map(|value| format!("presence {value}")));
        tell(F::Effort, self.effort.clone());
        tell(F::ThinkingBudget, self.budget.map(|value| value.to_string()));
        tell(F::EndUser, self.user.clone());
        tell(F::AskedLogprobs, self.logprobs.map(|value| value.to_string()));
        for (name, value) in &self.members {
            out.push(Facet::of(F::OtherMember, name, &value.to_string()));
        }
    }
}

impl Said {
    /// Tells what it is; texts are of this feature.
    fn tell(&self, text_of: F, out: &mut Vec<Facet>) {
        let in_answer = text_of == F::Text;
        match self {
            Self::Text(text) => out.push(Facet::new(text_of, text)),
            Self::Marked(text) => {
                out.push(Facet::new(text_of, text));
                out.push(Facet::new(F::CacheMark, text));
            }
            Self::OddlyMarked(text) => {
                out.push(Facet::new(text_of, text));
                out.push(Facet::of(F::CacheMark, ODD, text));
            }
            Self::By(name) => out.push(Facet::new(F::SpeakerName, name)),
            Self::Image(picture) => {
                out.push(Facet::new(F::Image, &picture.address()));
                out.extend(picture.detail.as_ref().map(|detail| Facet::new(F::ImageDetail, detail)));
            }
            Self::Document(paper) => out.push(Facet::of(F::Document, paper.kind(), &paper.value())),
            Self::Audio { format, data } => out.push(Facet::new(F::Audio, &format!("{format} {data}"))),
            Self::Refusal(text) => {
                out.push(Facet::new(if in_answer { F::Refusal } else { F::PastRefusal }, text));
            }
            Self::Thinking { maker, text, proof } if in_answer => {
                if !text.is_empty() {
                    out.push(Facet::new(F::Thinking, text));
                }
                out.extend(proof.iter().map(|proof| Facet::of(F::ThinkingProof, maker.as_str(), proof)));
            }
            Self::Sealed { maker, data } if in_answer => {
                out.push(Facet::of(F::ThinkingProof, maker.as_str(), data));
            }
            Self::Thinking { maker, text, proof } => {
                out.push(Facet::thought(*maker, text, proof.as_deref()));
            }
            Self::Sealed { maker, data } => out.push(Facet::thought(*maker, "", Some(data))),
            Self::Call(call) => {
                out.push(Facet::new(if in_answer { F::Call } else { F::PastCall }, &call.value()));
            }
            Self::Vendor { maker, item } => {
                let feature = if in_answer { F::VendorItem } else { F::PastVendorItem };
                out.push(Facet::of(feature, maker.as_str(), &item.to_string()));
            }
            Self::Cited { text, url, title } => {
                out.push(Facet::new(text_of, text));
                out.push(Facet::new(F::Citation, &format!("{title} {url}")));
            }
            Self::Spoken(audio) => out.push(Facet::new(F::SpokenAudio, &audio.to_string())),
        }
    }
}

impl Call {
    /// Name and arguments: ids may differ between dialects, so who belongs to whom is told by this.
    pub(super) fn value(&self) -> String {
        call_value(&self.name, &self.arguments)
    }
}

pub(super) fn call_value(name: &str, arguments: &str) -> String {
    format!("{name}({})", canonical(arguments))
}

impl Outcome {
    fn tell(&self, call: &str, out: &mut Vec<Facet>) {
        let texts: Vec<&str> = self
            .said
            .iter()
            .filter_map(|said| match said {
                Said::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        out.push(Facet::result(call, &texts.join(PIECE)));
        if self.failed {
            out.push(Facet::new(F::FailedResult, call));
        }
        for said in &self.said {
            match said {
                Said::Text(_) => {}
                Said::Image(picture) => {
                    out.push(Facet::new(F::ImageInResult, &format!("{call} {}", picture.address())));
                }
                Said::Document(paper) => {
                    let value = format!("{call} {}", paper.value());
                    out.push(Facet::of(F::DocumentInResult, paper.kind(), &value));
                }
                other => panic!("{other:?} in a result"),
            }
        }
    }
}

impl Reply {
    /// Whether there is a call, of the client's tools or of those that this maker's clients run.
    pub(super) fn calls(&self, maker: &str) -> bool {
        self.said.iter().any(|said| match said {
            Said::Call(_) => true,
            Said::Vendor { maker: of, .. } => of.as_str() == maker,
            _ => false,
        })
    }

    /// Whether there is a word of refusal.
    pub(super) fn refuses(&self) -> bool {
        self.said.iter().any(|said| matches!(said, Said::Refusal(_)))
    }

    /// What a reader must find, in order. The reason of the end is told by its word, which dialects choose.
    pub(super) fn facets(&self) -> Vec<Facet> {
        let mut out = Vec::new();
        for said in &self.said {
            said.tell(F::Text, &mut out);
        }
        if !self.logprobs.is_empty() {
            out.push(Facet::new(F::Logprobs, &Value::Array(self.logprobs.clone()).to_string()));
        }
        out.extend(self.stop_sequence.iter().map(|stop| Facet::new(F::StopSequence, stop)));
        let Spent { input, cached, written, output, thinking } = self.usage;
        out.push(Facet::new(F::Usage, &format!("{input} in, {output} out")));
        if cached + written > 0 {
            out.push(Facet::new(F::CachedUsage, &format!("{cached} read, {written} written")));
        }
        if thinking > 0 {
            out.push(Facet::new(F::ReasoningUsage, &thinking.to_string()));
        }
        out
    }
}

impl Facet {
    /// The text of a call's result.
    pub(super) fn result(call: &str, text: &str) -> Self {
        Self::new(F::Result, &format!("{call} gives {text}"))
    }

    /// Thinking in a history.
    pub(super) fn thought(maker: Dialect, text: &str, proof: Option<&str>) -> Self {
        let row = Row::of(F::PastThinking, maker.as_str());
        Self { row, value: format!("{text} [{}]", proof.unwrap_or("-")), form: None }
    }
}
