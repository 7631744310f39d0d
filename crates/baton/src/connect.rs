//! `baton connect CLIENT`: what to set so that a client asks this gateway.
//!
//! One row for each client, as its makers document it. Nothing is written anywhere: what is printed is
//! for people to paste.

use baton_config::Config;
use serde_json::json;

use crate::control::remote::Gateway;
use crate::output::{json as print_json, line, note};

/// A client, and how it is told where to ask.
struct Row {
    name: &'static str,
    /// Which of our paths it calls.
    path: &'static str,
    /// Where the lines go.
    place: &'static str,
    /// `{root}` is the gateway's URL, `{model}` a model.
    text: &'static str,
}

const ROWS: &[Row] = &[
    Row {
        name: "codex",
        path: "/v1/responses",
        place: "~/.codex/config.toml, with the key in BATON_KEY",
        text: r#"model = "{model}"
model_provider = "baton"

[model_providers.baton]
name = "Baton"
base_url = "{root}/v1"
env_key = "BATON_KEY"
wire_api = "responses""#,
    },
    Row {
        name: "claude-code",
        path: "/v1/messages",
        place: "the shell, or `env` in ~/.claude/settings.json",
        text: r#"export ANTHROPIC_BASE_URL="{root}"
export ANTHROPIC_AUTH_TOKEN="$BATON_KEY"
export ANTHROPIC_API_KEY=""
export ANTHROPIC_MODEL="{model}"
export ANTHROPIC_DEFAULT_HAIKU_MODEL="{model}""#,
    },
    Row {
        name: "opencode",
        path: "/v1/chat/completions",
        place: "opencode.json, with the key in BATON_KEY",
        text: r#"{
  "$schema": "https://opencode.ai/config.json",
  "provider": {
    "baton": {
      "npm": "@ai-sdk/openai-compatible",
      "name": "Baton",
      "options": { "baseURL": "{root}/v1", "apiKey": "{env:BATON_KEY}" },
      "models": { "{model}": {} }
    }
  },
  "model": "baton/{model}"
}"#,
    },
    Row {
        name: "open-webui",
        path: "/v1/chat/completions",
        place: "the environment of Open WebUI; in a container the gateway's host is not 127.0.0.1",
        text: r#"OPENAI_API_BASE_URL="{root}/v1"
OPENAI_API_KEY="$BATON_KEY""#,
    },
    Row {
        name: "cline",
        path: "/v1/chat/completions",
        place: "Cline's settings",
        text: r#"API Provider: OpenAI Compatible
Base URL: {root}/v1
API Key: the key
Model ID: {model}"#,
    },
    Row {
        name: "aider",
        path: "/v1/chat/completions",
        place: "the shell",
        text: r#"export OPENAI_API_BASE="{root}/v1"
export OPENAI_API_KEY="$BATON_KEY"
aider --model "openai/{model}""#,
    },
    Row {
        name: "langchain",
        path: "/v1/chat/completions",
        place: "Python, package langchain-openai",
        text: r#"import os
from langchain_openai import ChatOpenAI

llm = ChatOpenAI(base_url="{root}/v1", api_key=os.environ["BATON_KEY"], model="{model}")"#,
    },
    Row {
        name: "ai-sdk",
        path: "/v1/chat/completions",
        place: "TypeScript, package @ai-sdk/openai-compatible",
        text: r#"import { createOpenAICompatible } from "@ai-sdk/openai-compatible";

const baton = createOpenAICompatible({
  name: "baton",
  baseURL: "{root}/v1",
  apiKey: process.env.BATON_KEY,
});
const model = baton("{model}");"#,
    },
];

/// The model of the lines where none is named: it answers without a provider.
const ANY_MODEL: &str = "echo/hello";

/// The names that the command takes.
pub(crate) fn names() -> Vec<&'static str> {
    ROWS.iter().map(|row| row.name).collect()
}

/// Prints what to set for a client; without one, which clients there are.
pub(crate) fn run(
    config: &Config,
    client: Option<&str>,
    model: Option<&str>,
    url: Option<&Gateway>,
    as_json: bool,
) {
    let Some(row) = ROWS.iter().find(|row| Some(row.name) == client) else {
        return list(as_json);
    };
    let own = format!("http://{}", config.listen);
    let root = url.map_or(own.as_str(), Gateway::as_str);
    let model = model.unwrap_or(ANY_MODEL);
    let text = filled(row.text, root, model);
    if as_json {
        return print_json(&json!({
            "client": row.name, "path": row.path, "place": row.place, "text": text, "url": root, "model": model,
        }));
    }
    note(&format!("# {}: {}", row.name, row.place));
    if config.auth.required {
        note("# BATON_KEY is a key that `baton keys create NAME` made");
    } else {
        note("# this gateway asks for no key: BATON_KEY may be any text, but not empty");
    }
    line(&text);
}

fn list(as_json: bool) {
    if as_json {
        let rows: Vec<_> = ROWS.iter().map(|row| json!({"client": row.name, "path": row.path})).collect();
        return print_json(&json!(rows));
    }
    for row in ROWS {
        line(&format!("{:<12} {}", row.name, row.path));
    }
}

fn filled(text: &str, root: &str, model: &str) -> String {
    text.replace("{root}", root).replace("{model}", model)
}

#[cfg(test)]
mod tests;
