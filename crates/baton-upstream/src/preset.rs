//! The providers that are known by name: one row of data for each.
//!
//! Where a row says that something is not taken, the provider is known to refuse it, or its
//! reference does not name it. In doubt a row takes the older spelling, which all understand.

use baton_dialect::CallTaste;
use baton_model::Dialect;

use crate::{AuthScheme, BaseUrl, BaseUrlError, Quirks, catalog};

/// A provider that is known by name.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// The name in configuration and in front of models.
    pub name: &'static str,
    /// Other names that people use for it.
    pub aliases: &'static [&'static str],
    /// The name for people.
    pub display_name: &'static str,
    /// What it speaks.
    pub dialect: Dialect,
    /// Whether it answers `/responses` beside chat completions.
    pub responses: bool,
    /// Where it is.
    pub base_url: &'static str,
    /// Environment variables that hold its key, the first one found counts.
    pub key_env: &'static [&'static str],
    /// An environment variable that says where it is, for those that run on the user's machine.
    pub host_env: Option<&'static str>,
    /// Whether it refuses calls without a key.
    pub needs_key: bool,
    /// What it does not take.
    pub quirks: Quirks,
    /// How the names of its own models begin.
    pub model_prefixes: &'static [&'static str],
}

/// A row that takes what OpenAI takes.
const PLAIN: Preset = Preset {
    name: "",
    aliases: &[],
    display_name: "",
    dialect: Dialect::OpenaiChat,
    responses: false,
    base_url: "",
    key_env: &[],
    host_env: None,
    needs_key: true,
    quirks: Quirks::NONE,
    model_prefixes: &[],
};

/// Knows no `developer`, as most providers that host open models.
const NO_DEVELOPER: Quirks = Quirks { developer_role: false, ..Quirks::NONE };

/// Knows neither `developer` nor `max_completion_tokens`.
const OLDER: Quirks = Quirks { max_completion_tokens: false, ..NO_DEVELOPER };

/// Every preset, in the order in which they are shown.
pub static PRESETS: &[Preset] = &[
    Preset {
        name: "openai",
        display_name: "OpenAI",
        responses: true,
        base_url: "https://api.openai.com/v1",
        key_env: &["OPENAI_API_KEY"],
        // Refuses Google's signatures as unknown parameters, and ids beyond 40 bytes.
        quirks: Quirks { calls: CallTaste::Plain, shared_members: true, ..Quirks::NONE },
        model_prefixes: &[
            "gpt-",
            "chatgpt-",
            "o1",
            "o3",
            "o4",
            "codex-",
            "computer-use-",
            "text-embedding-",
            "omni-moderation-",
            "dall-e-",
            "whisper-",
            "tts-",
            "ft:gpt-",
        ],
        ..PLAIN
    },
    Preset {
        name: "anthropic",
        display_name: "Anthropic",
        dialect: Dialect::AnthropicMessages,
        base_url: "https://api.anthropic.com",
        key_env: &["ANTHROPIC_API_KEY"],
        model_prefixes: &["claude-"],
        ..PLAIN
    },
    Preset {
        name: "gemini",
        aliases: &["google"],
        display_name: "Google Gemini",
        base_url: "https://generativelanguage.googleapis.com/v1beta/openai",
        key_env: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        quirks: NO_DEVELOPER,
        model_prefixes: &["gemini-", "gemma-"],
        ..PLAIN
    },
    Preset {
        name: "groq",
        display_name: "Groq",
        base_url: "https://api.groq.com/openai/v1",
        key_env: &["GROQ_API_KEY"],
        quirks: NO_DEVELOPER,
        ..PLAIN
    },
    Preset {
        name: "mistral",
        aliases: &["mistralai"],
        display_name: "Mistral",
        base_url: "https://api.mistral.ai/v1",
        key_env: &["MISTRAL_API_KEY"],
        // Streams end with usage unasked. Both members are refused with a 422, `extra_forbidden`:
        // https://github.com/openai/openai-agents-python/issues/442
        quirks: Quirks { stream_options: false, ..OLDER },
        model_prefixes: &[
            "mistral-",
            "open-mistral-",
            "mixtral-",
            "open-mixtral-",
            "ministral-",
            "magistral-",
            "codestral-",
            "devstral-",
            "pixtral-",
            "voxtral-",
        ],
        ..PLAIN
    },
    Preset {
        name: "deepseek",
        display_name: "DeepSeek",
        base_url: "https://api.deepseek.com",
        key_env: &["DEEPSEEK_API_KEY"],
        quirks: OLDER,
        model_prefixes: &["deepseek-"],
        ..PLAIN
    },
    Preset {
        name: "xai",
        aliases: &["x-ai"],
        display_name: "xAI",
        base_url: "https://api.x.ai/v1",
        key_env: &["XAI_API_KEY"],
        model_prefixes: &["grok-"],
        ..PLAIN
    },
    Preset {
        name: "together",
        aliases: &["togetherai", "together_ai"],
        display_name: "Together AI",
        base_url: "https://api.together.ai/v1",
        key_env: &["TOGETHER_API_KEY"],
        quirks: OLDER,
        ..PLAIN
    },
    Preset {
        name: "fireworks",
        aliases: &["fireworks-ai", "fireworks_ai"],
        display_name: "Fireworks AI",
        base_url: "https://api.fireworks.ai/inference/v1",
        key_env: &["FIREWORKS_API_KEY"],
        quirks: NO_DEVELOPER,
        ..PLAIN
    },
    Preset {
        name: "openrouter",
        display_name: "OpenRouter",
        base_url: "https://openrouter.ai/api/v1",
        key_env: &["OPENROUTER_API_KEY"],
        ..PLAIN
    },
    Preset {
        name: "cerebras",
        display_name: "Cerebras",
        base_url: "https://api.cerebras.ai/v1",
        key_env: &["CEREBRAS_API_KEY"],
        // "Our implementation does not expose developer directly": inference-docs.cerebras.ai/resources/openai
        quirks: NO_DEVELOPER,
        ..PLAIN
    },
    Preset {
        name: "ollama",
        display_name: "Ollama",
        base_url: "http://127.0.0.1:11434/v1",
        host_env: Some("OLLAMA_HOST"),
        needs_key: false,
        quirks: OLDER,
        ..PLAIN
    },
    Preset {
        name: "vllm",
        display_name: "vLLM",
        base_url: "http://127.0.0.1:8000/v1",
        needs_key: false,
        quirks: NO_DEVELOPER,
        ..PLAIN
    },
    Preset {
        name: "lmstudio",
        aliases: &["lm-studio", "lm_studio"],
        display_name: "LM Studio",
        base_url: "http://127.0.0.1:1234/v1",
        needs_key: false,
        quirks: OLDER,
        ..PLAIN
    },
];

/// Names that begin like a vendor's own models but are open weights that others serve.
const OPEN_WEIGHTS: [&str; 1] = ["gpt-oss"];

/// The preset of a name or an alias.
#[must_use]
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name || preset.aliases.contains(&name))
}

/// The provider of a model that is named without one: the only one that the catalogue knows to serve
/// it, else the one whose models begin so. `claude-sonnet-4-5` is `anthropic`'s.
#[must_use]
pub fn infer_provider(model: &str) -> Option<&'static str> {
    if OPEN_WEIGHTS.iter().any(|weights| begins_with(model, weights)) {
        return None;
    }
    catalog().provider_of(model).or_else(|| infer_by_prefix(model))
}

/// The provider whose own model this is, by how its name begins.
pub(crate) fn infer_by_prefix(model: &str) -> Option<&'static str> {
    if OPEN_WEIGHTS.iter().any(|weights| begins_with(model, weights)) {
        return None;
    }
    let known = |preset: &&Preset| preset.model_prefixes.iter().any(|prefix| begins_with(model, prefix));
    PRESETS.iter().find(known).map(|preset| preset.name)
}

/// Whether a name begins with whole words: `o1` begins `o1-mini`, not `o12`.
fn begins_with(model: &str, prefix: &str) -> bool {
    model.strip_prefix(prefix).is_some_and(|rest| match rest.chars().next() {
        None => !prefix.ends_with('-'),
        Some(next) => prefix.ends_with('-') || !next.is_ascii_alphanumeric(),
    })
}

impl Preset {
    /// How it takes its key.
    #[must_use]
    pub const fn auth(&self) -> AuthScheme {
        AuthScheme::usual(self.dialect)
    }

    /// Where it is, from the value of [`Self::host_env`]: `host`, `host:port`, `:port` or a URL.
    ///
    /// The variable is the server's too, so an address to listen on means this machine here.
    ///
    /// # Errors
    /// [`BaseUrlError`] when the value names no host.
    pub fn base_url_from_host(&self, value: &str) -> Result<BaseUrl, BaseUrlError> {
        let value = value.trim().trim_end_matches('/');
        let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
        let (host, path) = rest.split_once('/').map_or((rest, ""), |(host, path)| (host, path));
        let host = match host.strip_prefix("0.0.0.0").or_else(|| host.strip_prefix("[::]")) {
            Some(port) => format!("127.0.0.1{port}"),
            None if host.starts_with(':') => format!("127.0.0.1{host}"),
            None => host.to_owned(),
        };
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        // A URL with a scheme has that scheme's port, as for Ollama's own client.
        let host = match self.base_url.rsplit_once(':').and_then(|(_, rest)| rest.split('/').next()) {
            Some(port) if !has_port && !value.contains("://") => format!("{host}:{port}"),
            _ => host,
        };
        let path = if path.is_empty() { "v1" } else { path };
        format!("{scheme}://{host}/{path}").parse()
    }
}

#[cfg(test)]
mod tests;
