use std::collections::HashMap;
use std::fs;

use insta::assert_snapshot;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// The example of the design, word for word.
const EVERYTHING: &str = include_str!("../../fixtures/everything.yaml");

/// As much of it as this version takes.
const TODAY: &str = include_str!("../../fixtures/today.yaml");

const ENV: [(&str, &str); 3] = [
    ("OPENAI_API_KEY", "sk-openai-canary"),
    ("ANTHROPIC_API_KEY", "sk-ant-canary"),
    ("ACME_TOKEN", "acme-canary"),
];

pub(crate) fn env(pairs: &[(&str, &str)]) -> Env {
    let pairs: HashMap<String, String> =
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Arc::new(move |name| pairs.get(name).cloned())
}

/// Loads a text as the file, with nothing in the environment.
pub(crate) fn load_text(text: &str) -> Result<Config, ConfigError> {
    load_with(text.as_bytes(), &[], Flags::default())
}

/// The same with these variables.
pub(crate) fn load_env(text: &str, pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    load_with(text.as_bytes(), pairs, Flags::default())
}

fn load_with(text: &[u8], pairs: &[(&str, &str)], flags: Flags) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("baton.yaml");
    fs::write(&file, text).unwrap();
    let loaded = Config::load(&Sources { file: Some(file), env: env(pairs), flags });
    loaded.map_err(|error| ConfigError { file: None, ..error })
}

/// What is wrong with a text, as an operator reads it.
#[track_caller]
fn check(text: &str) -> String {
    load_with(text.as_bytes(), &ENV, Flags::default()).unwrap_err().to_string()
}

/// The loaded content at a pointer.
#[track_caller]
fn content(text: &str, pointer: &str) -> String {
    let config = load_with(text.as_bytes(), &ENV, Flags::default()).unwrap();
    config.document().pointer(pointer).unwrap().to_string()
}

#[test]
fn the_example_of_the_design_loads() {
    let config = load_with(EVERYTHING.as_bytes(), &ENV, Flags::default()).unwrap();
    let agents: Vec<&str> = config.agents.agents.iter().map(|agent| agent.name.as_str()).collect();
    assert_eq!(agents, ["root", "web_search"]);
}

#[test]
fn a_route_says_who_may_hand_over() {
    let handoff = |said: &str| {
        let text = format!("routes: {{r: {{pool: [echo/hello, echo/parrot]{said}}}}}");
        content(&text, "/routes/r/handoff")
    };
    assert_eq!(handoff(""), r#""off""#);
    for mode in ["off", "model", "rules", "both"] {
        assert_eq!(handoff(&format!(", handoff: {mode}")), format!("\"{mode}\""));
    }
    assert_snapshot!(check("routes: {r: {pool: [echo/hello], handoff: rule}}"), @r"
    error: `routes.r.handoff`: expected `off`, `model`, `rules` or `both`
     --> baton.yaml:1:43
      |
    1 | routes: {r: {pool: […], handoff: rule}}
      |                                  ^^^^
    hint: did you mean `rules`?

    found 1 mistake
    ");
    assert_snapshot!(check("routes: {r: {pool: [echo/hello], handoff: [model, rules]}}"), @r"
    error: `routes.r.handoff`: expected a single value, found a list
     --> baton.yaml:1:43
      |
    1 | routes: {r: {pool: […], handoff: […, …]}}
      |                                  ^
    hint: if it is meant as text, put it in quotes

    found 1 mistake
    ");
}

#[test]
fn everything_else_of_the_example_loads() {
    let config = load_with(TODAY.as_bytes(), &ENV, Flags::default()).unwrap();
    let mut document = config.document();
    // The catalogue's part of it changes with the catalogue.
    let models = document["models"].take();
    assert_eq!(models["openai/gpt-4o-mini"]["strengths"]["tool_use"], 800_000);
    assert_snapshot!(format!("{document:#}"), @r#"
    {
      "agents": null,
      "audit": {
        "alerts": null,
        "capture": null,
        "checkpoints": {
          "file": null,
          "webhook": null
        },
        "export": null,
        "retention_days": 403
      },
      "auth": {
        "required": true
      },
      "cors": {
        "origins": []
      },
      "data_dir": "./baton-data",
      "database": "sqlite",
      "default_provider": "local",
      "journal": {
        "max_bytes": 8589934592
      },
      "limits": {
        "drain_timeout_ms": 30000,
        "header_timeout_ms": 10000,
        "max_body_bytes": 33554432,
        "max_connections": 10000
      },
      "listen": "127.0.0.1:8080",
      "mcp_allow_urls": [],
      "mcp_endpoint": {
        "otherwise": "summarization",
        "select": [
          "baton/auto"
        ],
        "specialists": [
          {
            "focus": "bugs, performance, best practices",
            "models": [
              "claude-3-5-sonnet-20241022"
            ],
            "name": "code_review",
            "prompt_style": "technical"
          },
          {
            "focus": "narrative, engagement, originality",
            "models": [
              "claude-3-opus-20240229"
            ],
            "name": "creative_expansion",
            "prompt_style": "creative"
          },
          {
            "focus": "accuracy, sources, verification",
            "models": [
              "openai/gpt-4.1"
            ],
            "name": "fact_checking",
            "prompt_style": "analytical"
          },
          {
            "focus": "key points, brevity, clarity",
            "models": [
              "openai/gpt-4o-mini"
            ],
            "name": "summarization",
            "prompt_style": "concise"
          }
        ]
      },
      "mcp_servers": {
        "acme/search": {
          "headers": {
            "authorization": "[secret]"
          },
          "limits": {
            "call_timeout_ms": 60000,
            "connect_timeout_ms": 5000,
            "max_calls": 64,
            "max_result": 262144
          },
          "tools": null,
          "url": "https://mcp.example.com/mcp"
        },
        "files": {
          "arguments": [
            "[secret]",
            "[secret]"
          ],
          "command": "mcp-files",
          "env": {},
          "limits": {
            "call_timeout_ms": 60000,
            "connect_timeout_ms": 5000,
            "max_calls": 64,
            "max_result": 262144
          },
          "tools": null
        }
      },
      "models": null,
      "policies": {
        "default": {
          "document": {
            "balance": {
              "cost": 300,
              "quality": 500,
              "speed": 200
            },
            "client_order": true,
            "fallback": {
              "cooldown_ms": 60000,
              "retries": 2
            },
            "switch_margin": 100,
            "timeouts": {
              "connect": 2000,
              "first_content": 120000,
              "idle": 60000,
              "total": 600000
            }
          },
          "version": "491741fdf5cfc29d"
        },
        "frugal": {
          "document": {
            "balance": {
              "cost": 300,
              "quality": 500,
              "speed": 200
            },
            "client_order": false,
            "constraints": {
              "capabilities": [
                {
                  "can": "tools"
                },
                {
                  "good_at": {
                    "at_least": 700000,
                    "strength": "tool_use"
                  }
                }
              ],
              "max_cost": 20000000
            },
            "fallback": {
              "cooldown_ms": 60000,
              "retries": 2
            },
            "order": [
              "cheapest"
            ],
            "rules": [
              {
                "name": "prose",
                "then": {
                  "prefer": [
                    "anthropic/claude-sonnet-4-5"
                  ]
                },
                "when": "task.kind == \"writing\""
              }
            ],
            "switch_margin": 100,
            "timeouts": {
              "connect": 2000,
              "first_content": 30000,
              "idle": 60000,
              "total": 600000
            }
          },
          "version": "257d74bed6be000c"
        }
      },
      "providers": {
        "anthropic": {
          "api_keys": [
            "[secret]"
          ],
          "auth": "x-api-key",
          "base_url": "https://api.anthropic.com",
          "ca_file": null,
          "dialect": "anthropic_messages",
          "headers": {},
          "models": [
            "*"
          ],
          "proxy": null,
          "responses": false
        },
        "local": {
          "api_keys": [],
          "auth": "bearer",
          "base_url": "http://127.0.0.1:8000/v1",
          "ca_file": null,
          "dialect": "openai_chat",
          "headers": {},
          "models": [
            "*"
          ],
          "proxy": null,
          "responses": false
        },
        "openai": {
          "api_keys": [
            "[secret]"
          ],
          "auth": "bearer",
          "base_url": "https://api.openai.com/v1",
          "ca_file": null,
          "dialect": "openai_chat",
          "headers": {},
          "models": [
            "*"
          ],
          "proxy": null,
          "responses": true
        }
      },
      "responses": {
        "store": "30d"
      },
      "routes": {
        "smart": {
          "handoff": "both",
          "policy": "frugal",
          "pool": [
            "openai/gpt-4.1",
            "anthropic/claude-sonnet-4-5"
          ]
        }
      },
      "runs": {
        "webhook": null
      },
      "telemetry": {
        "log_filter": "info",
        "log_format": "auto",
        "otlp_endpoint": null
      },
      "workflows": {}
    }
    "#);
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let config = load_text("").unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.database, Database::Sqlite);
    assert!(!config.auth.required && config.providers.is_empty() && !config.is_open_to_others());
    assert_eq!(config.default_policy().unwrap().document.fallback.retries, 2);
}

#[test]
fn a_misspelt_key_names_the_nearest_one() {
    assert_snapshot!(check("lisen: 127.0.0.1:1\nlimits:\n  max_conections: 5\ntelemetry: { zebra: 1 }"), @r"
    error: `lisen`: unknown key
     --> baton.yaml:1:1
      |
    1 | lisen: …
      | ^^^^^
    hint: did you mean `listen`?

    error: `limits.max_conections`: unknown key
     --> baton.yaml:3:3
      |
    3 |   max_conections: …
      |   ^^^^^^^^^^^^^^
    hint: did you mean `max_connections`?

    error: `telemetry.zebra`: unknown key
     --> baton.yaml:4:14
      |
    4 | telemetry: { zebra: … }
      |              ^^^^^
    hint: the keys here are `otlp_endpoint`, `log_format` and `log_filter`

    found 3 mistakes
    ");
}

#[test]
fn a_key_of_another_program_is_translated() {
    assert_snapshot!(check("port: 8080\nproviders:\n  openai:\n    url: https://x\n    key: sk-canary"), @r"
    error: `port`: unknown key
     --> baton.yaml:1:1
      |
    1 | port: …
      | ^^^^
    hint: did you mean `listen`?

    error: `providers.openai.url`: unknown key
     --> baton.yaml:4:5
      |
    4 |     url: …
      |     ^^^
    hint: did you mean `base_url`?

    error: `providers.openai.key`: unknown key
     --> baton.yaml:5:5
      |
    5 |     key: …
      |     ^^^
    hint: did you mean `api_key`?

    found 3 mistakes
    ");
}

#[test]
fn every_mistake_of_a_file_is_reported_at_once() {
    assert_snapshot!(check(concat!(
        "listen: 8080\n",
        "auth: { required: maybe }\n",
        "providers:\n",
        "  opnai: { api_key: sk-canary }\n",
        "  echo: {}\n",
        "  local: { dialect: openai, base_url: 127.0.0.1:8000/v1, models: [gpt-*] }\n",
        "default_provider: lokal\n",
        "models:\n",
        "  opena/gpt: {}\n",
        "  local/a: { aliases: [fast], price: { input: 0.1.5 }, strengths: { Reasoning: 1, speed: 2 } }\n",
        "  local/b: { aliases: [fast, local/a], context_window: 1e6 }\n",
        "routes:\n",
        "  smart: { pool: [local/a, local/a, gpt-9], policy: frugl }\n",
        "  fast: { pool: [] }\n",
        "policies:\n",
        "  frugal: { fallback: { retries: 9, cooldown: 60 }, timeouts: { total: 10x } }\n",
        "cors: { origins: [\"*\", https://a.example/] }\n",
        "journal: { max_bytes: 1kB }\n",
    )), @r#"
    error: `listen`: expected an address and a port
     --> baton.yaml:1:9
      |
    1 | listen: 8080
      |         ^^^^
    hint: `127.0.0.1:8080` for this machine only, `0.0.0.0:8080` for all

    error: `auth.required`: expected `true` or `false`
     --> baton.yaml:2:19
      |
    2 | auth: { required: maybe }
      |                   ^^^^^

    error: `providers.opnai`: no preset has this name, and neither `dialect` nor `base_url` is given
     --> baton.yaml:4:3
      |
    4 |   opnai: { api_key: … }
      |   ^^^^^
    hint: did you mean `openai`?

    error: `providers.echo`: this provider is built in
     --> baton.yaml:5:3
      |
    5 |   echo: {}
      |   ^^^^
    hint: choose another name

    error: `providers.local.dialect`: expected `openai_chat`, `anthropic_messages` or `openai_responses`
     --> baton.yaml:6:21
      |
    6 |   local: { dialect: openai, base_url: …, models: […] }
      |                     ^^^^^^
    hint: did you mean `openai_chat`?

    error: `providers.local.base_url`: the base URL must begin with `https://` or `http://`
     --> baton.yaml:6:39
      |
    6 |   local: { dialect: …, base_url: 127.0.0.1:8000/v1, models: […] }
      |                                  ^^^^^^^^^^^^^^^^^
    hint: did you mean `http://127.0.0.1:8000/v1`?

    error: `providers.local.models[0]`: a pattern is not taken here
     --> baton.yaml:6:67
      |
    6 |   local: { dialect: …, base_url: …, models: [gpt-*] }
      |                                              ^^^^^
    hint: list the names, or write `["*"]` for any

    error: `default_provider`: provider `lokal` is not configured
     --> baton.yaml:7:19
      |
    7 | default_provider: lokal
      |                   ^^^^^
    hint: did you mean `local`?

    error: `models.opena/gpt`: provider `opena` is not configured
     --> baton.yaml:9:3
      |
    9 |   opena/gpt: {}
      |   ^^^^^^^^^

    error: `models.local/a.price`: `output` is missing
     --> baton.yaml:10:38
       |
    10 |   local/a: { aliases: […], price: { input: … }, strengths: { Reasoning: …, speed: … } }
       |                                   ^
    hint: in US dollars per million tokens; `0` is free

    error: `models.local/a.price.input`: expected a decimal number
     --> baton.yaml:10:47
       |
    10 |   local/a: { aliases: […], price: { input: 0.1.5 }, strengths: { Reasoning: …, speed: … } }
       |                                            ^^^^^
    hint: write US dollars per million tokens as a decimal, such as `0.15`

    error: `models.local/a.strengths.Reasoning`: this is named with small letters, digits and `_`
     --> baton.yaml:10:69
       |
    10 |   local/a: { aliases: […], price: { input: … }, strengths: { Reasoning: …, speed: … } }
       |                                                              ^^^^^^^^^

    error: `models.local/a.strengths.speed`: expected a number from 0 to 1
     --> baton.yaml:10:90
       |
    10 |   local/a: { aliases: […], price: { input: … }, strengths: { Reasoning: …, speed: 2 } }
       |                                                                                   ^

    error: `models.local/b.aliases`: `fast` is the name of an alias already, on line 10
     --> baton.yaml:11:24
       |
    11 |   local/b: { aliases: [fast, …], context_window: … }
       |                        ^^^^

    error: `models.local/b.aliases`: `local/a` is the name of a model already, on line 10
     --> baton.yaml:11:30
       |
    11 |   local/b: { aliases: […, local/a], context_window: … }
       |                           ^^^^^^^

    error: `models.local/b.context_window`: expected a whole number from 1 to 1000000000
     --> baton.yaml:11:56
       |
    11 |   local/b: { aliases: […, …], context_window: 1e6 }
       |                                               ^^^

    error: `routes.smart.pool[1]`: `local/a` is in the pool twice
     --> baton.yaml:13:28
       |
    13 |   smart: { pool: […, local/a, …], policy: … }
       |                      ^^^^^^^

    error: `routes.smart.pool[2]`: no configured provider serves a model `gpt-9`
     --> baton.yaml:13:37
       |
    13 |   smart: { pool: […, …, gpt-9], policy: … }
       |                         ^^^^^
    hint: write `<provider>/<name>`

    error: `routes.smart.policy`: there is no policy `frugl`
     --> baton.yaml:13:53
       |
    13 |   smart: { pool: […, …, …], policy: frugl }
       |                                     ^^^^^
    hint: did you mean `frugal`?

    error: `routes.fast`: `fast` is the name of an alias already, on line 10
     --> baton.yaml:14:3
       |
    14 |   fast: { pool: [] }
       |   ^^^^

    error: `routes.fast.pool`: the pool is empty
     --> baton.yaml:14:17
       |
    14 |   fast: { pool: [] }
       |                 ^

    error: `policies.frugal.fallback.retries`: expected a whole number from 0 to 3
     --> baton.yaml:16:34
       |
    16 |   frugal: { fallback: { retries: 9, cooldown: … }, timeouts: { total: … } }
       |                                  ^

    error: `policies.frugal.fallback.cooldown`: the duration has no unit
     --> baton.yaml:16:47
       |
    16 |   frugal: { fallback: { retries: …, cooldown: 60 }, timeouts: { total: … } }
       |                                               ^^
    hint: did you mean `60s`?

    error: `policies.frugal.timeouts.total`: unknown unit of time
     --> baton.yaml:16:72
       |
    16 |   frugal: { fallback: { retries: …, cooldown: … }, timeouts: { total: 10x } }
       |                                                                       ^^^
    hint: the units are `ms`, `s`, `m` and `h`

    error: `cors.origins[0]`: every origin cannot be allowed
     --> baton.yaml:17:19
       |
    17 | cors: { origins: ["*", …] }
       |                   ^^^
    hint: list the origins that may call

    error: `cors.origins[1]`: an origin has no path
     --> baton.yaml:17:24
       |
    17 | cors: { origins: ["…", https://a.example/] }
       |                        ^^^^^^^^^^^^^^^^^^
    hint: did you mean `https://a.example`?

    error: `journal.max_bytes`: expected 1048576 to 1125899906842624 bytes
     --> baton.yaml:18:23
       |
    18 | journal: { max_bytes: 1kB }
       |                       ^^^

    found 27 mistakes
    "#);
}

#[test]
fn a_wrong_shape_says_what_was_found() {
    assert_snapshot!(check("providers: [openai]\nmodels: all\nlisten: [a]\ncors: { origins: https://a.example }"), @r"
    error: `providers`: expected a map of keys and values, found a list
     --> baton.yaml:1:12
      |
    1 | providers: […]
      |            ^

    error: `models`: expected a map of keys and values, found a single value
     --> baton.yaml:2:9
      |
    2 | models: …
      |         ^

    error: `listen`: expected a single value, found a list
     --> baton.yaml:3:9
      |
    3 | listen: […]
      |         ^
    hint: if it is meant as text, put it in quotes

    error: `cors.origins`: expected a list, found a single value
     --> baton.yaml:4:18
      |
    4 | cors: { origins: … }
      |                  ^

    found 4 mistakes
    ");
}

#[test]
fn a_key_that_stands_twice_is_a_mistake() {
    assert_snapshot!(check("listen: 127.0.0.1:1\ndata_dir: x\nlisten: 127.0.0.1:2"), @r"
    error: `listen`: this key stands here twice, first on line 1
     --> baton.yaml:3:1
      |
    3 | listen: …
      | ^^^^^^

    found 1 mistake
    ");
}

#[test]
fn a_missing_variable_is_a_mistake_at_its_place() {
    assert_snapshot!(check("data_dir: ${NOPE}/data\nproviders:\n  groq: { api_key: ${GROQ_API_KEY} }\n"), @r"
    error: `data_dir`: the environment variable `NOPE` is not set
     --> baton.yaml:1:11
      |
    1 | data_dir: ${NOPE}…
      |           ^^^^^^^^
    hint: set it, or give a default: `${NOPE:-...}`

    error: `providers.groq.api_key`: the environment variable `GROQ_API_KEY` is not set
     --> baton.yaml:3:20
      |
    3 |   groq: { api_key: ${GROQ_API_KEY} }
      |                    ^^^^^^^^^^^^^^^
    hint: set it, or give a default: `${GROQ_API_KEY:-...}`

    found 2 mistakes
    ");
}

#[test]
fn a_wrong_value_from_elsewhere_is_not_quoted() {
    let text =
        "listen: ${PORT}\nlimits: { max_connections: \"${N}\", drain_timeout: ${T} }\ndefault_provider: ${P}";
    let pairs = [("PORT", "8080"), ("N", "many"), ("T", "60"), ("P", "opnai")];
    let error = load_with(text.as_bytes(), &pairs, Flags::default()).unwrap_err();
    assert_snapshot!(error, @r#"
    error: `listen`: expected an address and a port
     --> baton.yaml:1:9
      |
    1 | listen: ${PORT}
      |         ^^^^^^^

    error: `limits.max_connections`: expected a whole number from 1 to 1000000
     --> baton.yaml:2:28
      |
    2 | limits: { max_connections: "${N}", drain_timeout: ${T} }
      |                            ^^^^^^

    error: `limits.drain_timeout`: the duration has no unit
     --> baton.yaml:2:51
      |
    2 | limits: { max_connections: "${N}", drain_timeout: ${T} }
      |                                                   ^^^^

    error: `default_provider`: the value of `${P}` is not right here
     --> baton.yaml:3:19
      |
    3 | default_provider: ${P}
      |                   ^^^^

    found 4 mistakes
    "#);
}

#[test]
fn a_malformed_reference_is_a_mistake_at_its_place() {
    assert_snapshot!(check("data_dir: ${A-b}\nlisten: \"${PORT\"\n${KEY}: x"), @r#"
    error: `data_dir`: expected `${NAME}`, `${NAME:-default}` or `${file:/path}`
     --> baton.yaml:1:11
      |
    1 | data_dir: ${A-b}
      |           ^^^^^^

    error: `listen`: `${` has no `}` on its line; write `$${` for the text itself
     --> baton.yaml:2:9
      |
    2 | listen: "${…"
      |         ^^^^^

    error: a key cannot hold a reference
     --> baton.yaml:3:1
      |
    3 | ${KEY}: …
      | ^^^^^^

    found 3 mistakes
    "#);
}

#[test]
fn a_missing_file_is_a_mistake_at_its_place() {
    assert_snapshot!(check("providers:\n  openai: { api_key: ${file:/nonexistent/key}, ca_file: /nonexistent/ca.pem }"), @r"
    error: `providers.openai.api_key`: there is no file `/nonexistent/key`
     --> baton.yaml:2:22
      |
    2 |   openai: { api_key: ${file:/nonexistent/key}, ca_file: … }
      |                      ^^^^^^^^^^^^^^^^^^^^^^^^

    error: `providers.openai.ca_file`: there is no file `/nonexistent/ca.pem`
     --> baton.yaml:2:57
      |
    2 |   openai: { api_key: ${file:/nonexistent/key}, ca_file: /nonexistent/ca.pem }
      |                                                         ^^^^^^^^^^^^^^^^^^^

    found 2 mistakes
    ");
}

#[test]
fn a_preset_without_a_key_says_which_variable_it_looked_for() {
    assert_snapshot!(check("providers: { mistral: {} }"), @r"
    error: `providers.mistral`: `api_key` is missing
     --> baton.yaml:1:23
      |
    1 | providers: { mistral: {} }
      |                       ^
    hint: set `MISTRAL_API_KEY`, or write `api_key: ${MISTRAL_API_KEY}`

    found 1 mistake
    ");
}

#[test]
fn yaml_that_does_not_parse_is_one_mistake_with_a_veiled_line() {
    assert_snapshot!(check("providers:\n  openai: { api_key: \"sk-canary }\n"), @r#"
    error: not valid YAML: unclosed quote
     --> baton.yaml:2:22
      |
    2 |   openai: { api_key: "… }
      |                      ^

    found 1 mistake
    "#);
    assert_snapshot!(check("providers:\n  openai: { api_key: sk-canary ]\n"), @r"
    error: not valid YAML: mismatched bracket '{' closed by ']'
     --> baton.yaml:2:11
      |
    2 |   openai: { api_key: … ]
      |           ^

    found 1 mistake
    ");
}

#[test]
fn flags_and_environment_name_themselves() {
    let flags = Flags {
        listen: Some("nope".to_owned()),
        database: Some(Secret::new("mysql://u:canary@h".to_owned())),
        data_dir: None,
    };
    let error = load_with(b"lisen: 1", &[("BATON_LISTEN", "127.0.0.1:1")], flags).unwrap_err();
    assert_snapshot!(error, @r"
    error: expected `sqlite` or `postgres://...`
     --> --database

    error: expected an address and a port
     --> --listen `nope`
    hint: such as `127.0.0.1:8080`; a host name is not taken

    error: `lisen`: unknown key
     --> baton.yaml:1:1
      |
    1 | lisen: …
      | ^^^^^
    hint: did you mean `listen`?

    found 3 mistakes
    ");
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = b"listen: 127.0.0.1:1\ndata_dir: file\ndatabase: sqlite";
    let pairs =
        [("BATON_LISTEN", "127.0.0.1:2"), ("BATON_DATA_DIR", "env"), ("DATABASE_URL", "postgres://env")];
    let flags = Flags {
        listen: Some("127.0.0.1:3".to_owned()),
        data_dir: Some("flag".into()),
        database: Some(Secret::new("postgres://flag".to_owned())),
    };
    let shown =
        |config: Config| format!("{} {} {:?}", config.listen, config.data_dir.display(), config.database);
    let postgres = |config: &Config| match &config.database {
        Database::Postgres(url) => url.expose().clone(),
        Database::Sqlite => "sqlite".to_owned(),
    };
    let [from_file, from_env, from_flags] = [
        load_with(file, &[], Flags::default()).unwrap(),
        load_with(file, &pairs, Flags::default()).unwrap(),
        load_with(file, &pairs, flags).unwrap(),
    ];
    assert_eq!(
        [&from_file, &from_env, &from_flags].map(postgres),
        ["sqlite", "postgres://env", "postgres://flag"]
    );
    assert_eq!(shown(from_file), "127.0.0.1:1 file Sqlite");
    assert_eq!(shown(from_env), "127.0.0.1:2 env Postgres([secret])");
    assert_eq!(shown(from_flags), "127.0.0.1:3 flag Postgres([secret])");
}

#[test]
fn keys_are_required_unless_only_this_machine_can_call() {
    let required = |text: &str| load_text(text).unwrap().auth.required;
    assert!(!required("listen: 127.0.0.1:1") && !required("listen: \"[::1]:1\""));
    assert!(
        required("listen: 0.0.0.0:1")
            && required("listen: 10.0.0.1:1")
            && required("auth: { required: true }")
    );
    let open = load_text("listen: 0.0.0.0:1\nauth: { required: false }").unwrap();
    assert!(!open.auth.required && open.is_open_to_others());
}

#[test]
fn without_providers_in_the_file_the_environment_says_which_there_are() {
    let pairs =
        [("GROQ_API_KEY", "gsk"), ("GOOGLE_API_KEY", "g"), ("OPENAI_API_KEY", " "), ("OLLAMA_HOST", ":9")];
    let config = load_with(b"", &pairs, Flags::default()).unwrap();
    let found: Vec<String> = config.providers.iter().map(|it| it.upstream.name.to_string()).collect();
    assert_eq!(found, ["gemini", "groq", "ollama"]);
    assert_eq!(config.providers[2].upstream.base_url.to_string(), "http://127.0.0.1:9/v1");
    assert_eq!(config.providers[1].upstream.credentials, [Secret::new("gsk".to_owned())]);
    let env = env(&pairs);
    let names: Vec<&str> = detected_providers(&*env).iter().map(|found| found.variable).collect();
    assert_eq!(names, ["GOOGLE_API_KEY", "GROQ_API_KEY", "OLLAMA_HOST"]);
    assert!(load_with(b"providers: {}", &pairs, Flags::default()).unwrap().providers.is_empty());
}

#[test]
fn references_are_put_in_after_parsing_so_they_cannot_change_the_file() {
    let pairs = [("EVIL", "x\"\nlisten: 0.0.0.0:1 # {"), ("N", "7"), ("EMPTY", "")];
    let load = |text: &str| load_with(text.as_bytes(), &pairs, Flags::default()).unwrap();
    assert_eq!(load("data_dir: ${EVIL}").data_dir.to_str(), Some("x\"\nlisten: 0.0.0.0:1 # {"));
    assert_eq!(load("limits: {max_connections: ${N}}").limits.max_connections, 7);
    assert_eq!(load("data_dir: \"a${N}-${NOPE:-b: }c$${N}\"").data_dir.to_str(), Some("a7-b: c${N}"));
    assert_eq!(
        load("telemetry: {otlp_endpoint: ${EMPTY:-}}\ndatabase: ${NOPE:-sqlite}").database,
        Database::Sqlite
    );
    assert_eq!(
        load("listen: ${NOPE:-}\nlimits: {max_connections: ${EMPTY:-}}").limits.max_connections,
        10_000
    );
    assert_eq!(load("# ${NOPE}\ndata_dir: ${EMPTY:-d}").data_dir.to_str(), Some("d"));
}

#[test]
fn a_secret_file_is_read_without_the_end_of_its_line() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("key"), "sk-from-file\n").unwrap();
    let text =
        format!("providers: {{openai: {{api_keys: [\"${{file:{}/key}}\", b]}}}}", dir.path().display());
    let keys = load_text(&text).unwrap().providers[0].upstream.credentials.clone();
    assert_eq!(keys, [Secret::new("sk-from-file".to_owned()), Secret::new("b".to_owned())]);
}

#[test]
fn a_provider_may_be_a_preset_a_changed_preset_or_neither() {
    let text = concat!(
        "providers:\n",
        "  anthropic: { api_key: a }\n",
        "  openai: { base_url: \"http://10.0.0.1:9/v1/\", models: [a, b], headers: { X-Team: t }, auth: api-key }\n",
        "  own: { dialect: anthropic_messages, base_url: \"https://own.example\", proxy: \"http://u:p@proxy:1\" }\n",
    );
    assert_snapshot!(content(text, "/providers"), @r#"{"anthropic":{"api_keys":["[secret]"],"auth":"x-api-key","base_url":"https://api.anthropic.com","ca_file":null,"dialect":"anthropic_messages","headers":{},"models":["*"],"proxy":null,"responses":false},"openai":{"api_keys":["[secret]"],"auth":"api-key","base_url":"http://10.0.0.1:9/v1","ca_file":null,"dialect":"openai_chat","headers":{"x-team":"[secret]"},"models":["a","b"],"proxy":null,"responses":false},"own":{"api_keys":[],"auth":"x-api-key","base_url":"https://own.example","ca_file":null,"dialect":"anthropic_messages","headers":{},"models":["*"],"proxy":"[secret]","responses":false}}"#);
}

#[test]
fn prices_are_exact() {
    let text =
        "models: {openai/a: {price: {input: 0.15, output: 0.60, cached_input: 0.075, cache_write: 0.1875}}}";
    assert_snapshot!(content(text, "/models/openai~1a/price"), @r#"{"cache_write":187500000,"cached_input":75000000,"input":150000000,"output":600000000}"#);
}

#[test]
fn a_name_means_one_thing() {
    assert_snapshot!(check(concat!(
        "models:\n",
        "  openai/a: { aliases: [x, x, openai/b, baton/auto] }\n",
        "  openai/b: { aliases: [y] }\n",
        "routes:\n",
        "  y: { pool: [x] }\n",
    )), @r"
    error: `models.openai/a.aliases`: `x` is the name of an alias already, on line 2
     --> baton.yaml:2:28
      |
    2 |   openai/a: { aliases: […, x, …, …] }
      |                            ^

    error: `models.openai/a.aliases`: `openai/b` is the name of a model already, on line 3
     --> baton.yaml:2:31
      |
    2 |   openai/a: { aliases: […, …, openai/b, …] }
      |                               ^^^^^^^^

    error: `models.openai/a.aliases`: `baton/auto` means something of its own to clients
     --> baton.yaml:2:41
      |
    2 |   openai/a: { aliases: […, …, …, baton/auto] }
      |                                  ^^^^^^^^^^
    hint: choose another name

    error: `routes.y`: `y` is the name of an alias already, on line 3
     --> baton.yaml:5:3
      |
    5 |   y: { pool: […] }
      |   ^

    found 4 mistakes
    ");
}

#[test]
fn a_model_is_scored_as_one_that_the_scorer_knows() {
    let name = baton_policy::Scorer::built_in().models().next().unwrap();
    let text = format!("models: {{openai/own: {{scored_as: {name}}}}}");
    assert_eq!(content(&text, "/models/openai~1own/scored_as"), format!("\"{name}\""));
    assert_snapshot!(check("models: {openai/own: {scored_as: no-such-model-0}}"), @r"
    error: `models.openai/own.scored_as`: the scorer was not trained on `no-such-model-0`
     --> baton.yaml:1:34
      |
    1 | models: {openai/own: {scored_as: no-such-model-0}}
      |                                  ^^^^^^^^^^^^^^^
    hint: leave it out

    found 1 mistake
    ");
}

#[test]
fn a_pool_may_name_what_somebody_serves() {
    let base = "providers: {openai: {api_key: a}, own: {dialect: openai_chat, base_url: \"http://h\", models: [m]}}\n";
    let pool =
        |names: &str| load_text(&format!("{base}routes: {{r: {{pool: [{names}]}}}}")).map(|_| ()).is_ok();
    for names in ["openai/anything", "own/m", "echo/hello", "gpt-4o"] {
        assert!(pool(names), "{names}");
    }
    for names in ["own/other", "groq/x", "llama", "claude-sonnet-4-5", "\"\"", "\"a b\""] {
        assert!(!pool(names), "{names}");
    }
}

#[test]
fn no_message_holds_a_secret() {
    let canary = "sk-canary-0123456789";
    let pairs = [("CANARY", canary), ("DATABASE_URL", "mysql://user:sk-canary-0123456789@host/db")];
    for text in [
        "providers: {openai: {api_kye: %, api_key: 1, proxy: \"ftp://u:%@h\", headers: {host: %, x-a: \"@\\n\"}}}",
        "providers: {openai: {api_key: [%], api_keys: {a: %}, base_url: \"https://u:%@h\"}}",
        "providers: {openai: {api_key: \"% x\", api_keys: [\"% y\"], ca_file: 7, auth: 8}}",
        "database: mysql://u:%@h\nlisten: ${CANARY}\ndata_dir: x",
        "database: [%]\ndefault_provider: ${CANARY}\nroutes: {r: {pool: [\"${CANARY}\"], policy: ${CANARY}}}",
        "limits: {max_connections: ${CANARY}, drain_timeout: ${CANARY}, max_body_bytes: ${CANARY}}",
        "telemetry: {otlp_endpoint: \"http://u:%@h\", log_format: ${CANARY}}\ncors: {origins: [\"${CANARY}\"]}",
        "models: {echo/a: {aliases: [\"a ${CANARY}\"], price: {input: ${CANARY}}}}",
        "policies: {p: {order: ${CANARY}, timeouts: {idle: ${CANARY}}}}\nauth: {required: ${CANARY}}",
        "policies: {p: {rules: [{when: \"${CANARY}\", use: ${CANARY}, set: {temperature: ${CANARY}, seed: ${CANARY}}}]}}",
        "policies: {p: {pool: [\"${CANARY}\"], weights: {a: ${CANARY}}, judge: {model: ${CANARY}}, balance: {cost: ${CANARY}}}}",
        "policies: {p: {constraints: {capabilities: [\"${CANARY}\"], max_cost: ${CANARY}, max_latency: ${CANARY}}}}",
        "providers:\n  openai: {api_key: \"%\n  x: [",
        "providers: {openai: {api_key: !x %}}",
        "providers: {openai: {api_key: *%}}",
        "nope: @ # %\nagents: {a: %}",
    ] {
        let text = text.replace('%', canary);
        let error = load_with(text.as_bytes(), &pairs, Flags::default()).unwrap_err();
        for part in ["canary", "0123456789"] {
            assert!(!error.to_string().contains(part), "{error}");
            assert!(!format!("{error:?}").contains(part), "{error:?}");
        }
    }
}

#[test]
fn a_loaded_configuration_prints_without_its_secrets() {
    let text = concat!(
        "database: postgres://u:canary@h/d\n",
        "providers: {openai: {api_key: canary, proxy: \"http://u:canary@h\", headers: {x-a: canary}}}\n",
    );
    let config = load_with(text.as_bytes(), &[], Flags::default()).unwrap();
    for shown in [format!("{config:?}"), config.document().to_string()] {
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains("secret"), "{shown}");
    }
}

#[test]
fn a_file_that_is_no_file_of_ours_is_refused() {
    let refused = |bytes: &[u8]| {
        let error = load_with(bytes, &[], Flags::default()).unwrap_err();
        error.mistakes.first().unwrap().message.split("baton.yaml` ").last().unwrap().to_owned()
    };
    assert_eq!(refused(&vec![b'#'; (1 << 20) + 1]), "has more than 1048576 bytes");
    assert_eq!(refused(b"a: \xff"), "is not UTF-8 text");
    let missing =
        Sources { file: Some("/nonexistent/baton.yaml".into()), env: env(&[]), flags: Flags::default() };
    let error = Config::load(&missing).unwrap_err();
    assert_snapshot!(error, @r"
    error: there is no file `/nonexistent/baton.yaml`
     --> /nonexistent/baton.yaml

    found 1 mistake
    ");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let error = Config::load(&Sources { file: Some(path), ..missing }).unwrap_err();
    assert!(error.to_string().contains("is a directory"), "{error}");
}

#[test]
fn a_byte_order_mark_is_no_mistake() {
    assert_eq!(load_text("\u{feff}listen: 127.0.0.1:9").unwrap().listen.port(), 9);
}

/// One change to a text, at a place and with a piece that are drawn.
fn mutate(text: &str, how: u8, at: usize, piece: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let at = at % bytes.len();
    match how {
        0 => bytes.truncate(at),
        1 => drop(bytes.remove(at)),
        2 => bytes[at] ^= 1 << (piece.len() % 8),
        3 => drop(bytes.splice(at..at, piece.bytes())),
        4 => {
            let line = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
            drop(bytes.splice(line..line, format!("{piece}\n").bytes()));
        }
        _ => {
            let lines: Vec<&str> = text.lines().collect();
            let line = at % lines.len();
            let kept = lines.iter().enumerate().filter(|(n, _)| *n != line).map(|(_, line)| *line);
            bytes = kept.collect::<Vec<_>>().join("\n").into_bytes();
        }
    }
    bytes
}

const PIECES: [&str; 24] = [
    "{", "}", "[", "]", ":", ": ", "- ", "#", "\"", "'", "\n", "\t", "${", "${A}", "}", "&a ", "*a", "!!x ",
    "|\n", "<<: ", "nope: 1", "\u{0}", "\u{feff}", "ä",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_file_loads_or_has_mistakes_with_places(
        changes in prop::collection::vec((0_u8..6, any::<prop::sample::Index>(), 0..PIECES.len()), 1..4)
    ) {
        let mut bytes = TODAY.as_bytes().to_vec();
        for (how, at, piece) in changes {
            let Ok(text) = String::from_utf8(bytes.clone()) else { break };
            if text.is_empty() {
                break;
            }
            bytes = mutate(&text, how, at.index(text.len()), PIECES[piece]);
        }
        let lines = bytes.split(|byte| *byte == b'\n').count();
        let is_text = std::str::from_utf8(&bytes).is_ok();
        match load_with(&bytes, &ENV, Flags::default()) {
            Ok(config) => prop_assert_eq!(config.version().len(), 16),
            Err(error) => {
                prop_assert!(!error.mistakes.is_empty());
                prop_assert!(!error.to_string().contains("canary"));
                for mistake in &error.mistakes {
                    match mistake.place {
                        Place::Line { line, column } => prop_assert!((1..=lines).contains(&line) && column >= 1),
                        Place::File => prop_assert!(!is_text, "{mistake:?}"),
                        Place::Setting(_) => prop_assert!(false, "{mistake:?}"),
                    }
                }
            }
        }
    }
}

/// Keeps a directory alive beside the sources that read from it.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) sources: Sources,
}

impl Bench {
    pub(crate) fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("baton.yaml");
        fs::write(&file, text).unwrap();
        Self { sources: Sources { file: Some(file), env: env(&[]), flags: Flags::default() }, dir }
    }

    /// Puts a new file in the place of the old one, as careful writers do.
    pub(crate) fn write(&self, text: &str) {
        let draft = self.dir.path().join("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.dir.path().join("baton.yaml")).unwrap();
    }
}

#[test]
fn a_mistyped_name_of_what_is_captured_names_the_nearest_one() {
    let text = |capture: &str| {
        format!(
            "providers: {{ local: {{ dialect: openai_chat, base_url: \"http://127.0.0.1:8000/v1\", models: [a] }} }}\n\
             models: {{ local/a: {{ aliases: [quick] }} }}\n\
             policies: {{ frugal: {{ order: cheapest }} }}\n\
             routes: {{ smart: {{ pool: [local/a] }} }}\n\
             agents: {{ root: {{ model: local/a, description: d, instruction: i }} }}\n\
             audit: {{ capture: {{ content: true, {capture} }} }}\n"
        )
    };
    for (capture, wrong) in [
        ("routes: [smrt]", "there is no route `smrt`"),
        ("routes: [smrt]", "did you mean `smart`?"),
        ("routes: [quik]", "did you mean `quick`?"),
        ("routes: [agent/rot]", "did you mean `root`?"),
        ("routes: [policy/frugl]", "did you mean `frugal`?"),
        ("policies: [frugl]", "did you mean `frugal`?"),
        ("keys: [key_1]", "`key_1` is no id of a key"),
    ] {
        let mistakes = check(&text(capture));
        assert!(mistakes.contains(wrong) && mistakes.contains("audit.capture."), "{capture}: {mistakes}");
    }
    for capture in [
        "routes: [smart, local/a, quick, agent/root, policy/frugal, baton/auto]",
        "policies: [frugal, default, only-in-the-store]",
        "keys: [anonymous, key_0190d4ff5a7c7000800000000000002a]",
    ] {
        let loaded = load_with(text(capture).as_bytes(), &ENV, Flags::default());
        assert!(loaded.is_ok(), "{capture}: {:?}", loaded.err());
    }
}
