use super::*;

#[test]
fn names_and_aliases_name_one_preset_each() {
    let mut names: Vec<&str> = PRESETS
        .iter()
        .flat_map(|preset| [preset.name].into_iter().chain(preset.aliases.iter().copied()))
        .collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    assert_eq!(preset("google").map(|preset| preset.name), Some("gemini"));
    assert!(preset("echo").is_none());
}

#[test]
fn every_row_is_complete() {
    for preset in PRESETS {
        assert!(preset.base_url.parse::<BaseUrl>().is_ok(), "{}", preset.name);
        assert!(!preset.display_name.is_empty(), "{}", preset.name);
        assert_eq!(preset.needs_key, !preset.key_env.is_empty(), "{}", preset.name);
        assert_eq!(preset.base_url.starts_with("https://"), preset.needs_key, "{}", preset.name);
    }
}

#[test]
fn a_models_name_tells_whose_it_is() {
    for (model, provider) in [
        ("gpt-4o-mini", Some("openai")),
        ("chatgpt-4o-latest", Some("openai")),
        ("o1", Some("openai")),
        ("o3-mini", Some("openai")),
        ("o4-mini-2025-04-16", Some("openai")),
        ("ft:gpt-4o-mini:org::id", Some("openai")),
        ("text-embedding-3-small", Some("openai")),
        ("claude-3-5-sonnet-20241022", Some("anthropic")),
        ("claude-3-opus", Some("anthropic")),
        ("gemini-2.5-flash", Some("gemini")),
        ("mistral-large-latest", Some("mistral")),
        ("codestral-latest", Some("mistral")),
        ("grok-4", Some("xai")),
        ("deepseek-chat", Some("deepseek")),
        ("o12", None),
        ("gpt-", None),
        ("gpt-oss-120b", None),
        ("llama-3.3-70b", None),
        ("", None),
    ] {
        assert_eq!(infer_provider(model), provider, "{model}");
    }
}

#[test]
fn ollama_host_is_read_as_ollama_reads_it() {
    for (value, url) in [
        ("192.0.2.7", Some("http://192.0.2.7:11434/v1")),
        ("192.0.2.7:9000", Some("http://192.0.2.7:9000/v1")),
        (":9000", Some("http://127.0.0.1:9000/v1")),
        ("0.0.0.0", Some("http://127.0.0.1:11434/v1")),
        ("0.0.0.0:9000", Some("http://127.0.0.1:9000/v1")),
        ("[::]:9000", Some("http://127.0.0.1:9000/v1")),
        (" http://gpu.example:11434/ ", Some("http://gpu.example:11434/v1")),
        ("https://gpu.example/ollama/v1", Some("https://gpu.example/ollama/v1")),
        ("https://user:pass@gpu.example", None),
        ("ssh://gpu.example", None),
    ] {
        let made = preset("ollama").unwrap().base_url_from_host(value).ok().map(|url| url.to_string());
        assert_eq!(made.as_deref(), url, "{value}");
    }
}
