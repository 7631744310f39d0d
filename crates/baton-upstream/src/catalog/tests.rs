use super::*;
use crate::infer_provider;
use crate::preset::infer_by_prefix;

/// The target and the price in nano-dollars of what a name stands for.
fn check(name: &str) -> String {
    catalog().find(name).map_or_else(
        || "nothing".to_owned(),
        |known| match known.facts.price {
            None => known.target.to_string(),
            Some(price) => format!("{} {}/{}", known.target, price.input.0, price.output.0),
        },
    )
}

/// What is wrong with a file that holds this one model.
fn check_file(model: &str) -> String {
    let tasks: Vec<String> = TaskKind::ALL.iter().map(|kind| format!("\"{kind}\": [\"code\"]")).collect();
    let text = format!(
        r#"{{"version": "1", "date": "2026-01-01", "comment": [], "strengths": {{"code": "c"}},
            "attributes": {{}}, "task_strengths": {{{}}}, "models": [{model}]}}"#,
        tasks.join(", ")
    );
    Catalog::parse(&text).map_or_else(|error| error.to_string(), |_catalog| "good".to_owned())
}

fn model(changes: &str) -> String {
    format!(
        r#"{{"provider": "openai", "name": "a", "family": "f", "capabilities": {{}}, "attributes": {{}}, {changes}}}"#
    )
}

#[test]
fn the_names_of_the_examples_are_known() {
    for (name, meant) in [
        ("openai/gpt-4", "openai/gpt-4 30000000000/60000000000"),
        ("openai/gpt-4o", "openai/gpt-4o 2500000000/10000000000"),
        ("gpt-4o", "openai/gpt-4o 2500000000/10000000000"),
        ("openai/gpt-4o-mini", "openai/gpt-4o-mini 150000000/600000000"),
        ("openai/gpt-4.1", "openai/gpt-4.1 2000000000/8000000000"),
        ("anthropic/claude-sonnet-4-20250514", "anthropic/claude-sonnet-4-20250514 3000000000/15000000000"),
        ("claude-3-5-sonnet-20241022", "anthropic/claude-3-5-sonnet-20241022 3000000000/15000000000"),
        ("claude-3-5-sonnet", "anthropic/claude-3-5-sonnet-20241022 3000000000/15000000000"),
        ("claude-3-opus-20240229", "anthropic/claude-3-opus-20240229 15000000000/75000000000"),
        ("claude-3-opus", "anthropic/claude-3-opus-20240229 15000000000/75000000000"),
        ("anthropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4-5 3000000000/15000000000"),
        ("claude-sonnet-4-6", "anthropic/claude-sonnet-4-6 3000000000/15000000000"),
        ("claude-haiku-4-5", "anthropic/claude-haiku-4-5 1000000000/5000000000"),
    ] {
        assert_eq!(check(name), meant, "{name}");
    }
}

#[test]
fn a_provider_may_be_named_by_its_alias_and_a_model_by_any_of_its_names() {
    assert_eq!(check("google/gemini-2.5-flash"), check("gemini-2.5-flash"));
    assert_eq!(check("x-ai/grok-4"), check("xai/grok-4-0709"));
    assert_eq!(check("anthropic/claude-3-opus"), check("claude-3-opus-latest"));
    assert_eq!(check("gpt-4o-mini-2024-07-18"), check("openai/gpt-4o-mini"));
    assert_ne!(check("openrouter/openai/gpt-4o-mini"), check("openai/gpt-4o-mini"));
}

#[test]
fn a_name_that_several_providers_serve_stands_for_none_of_them() {
    assert!(catalog().find("together/openai/gpt-oss-120b").is_some());
    assert!(catalog().find("groq/openai/gpt-oss-120b").is_some());
    assert_eq!(check("openai/gpt-oss-120b"), "nothing");
    assert_eq!(infer_provider("openai/gpt-oss-120b"), None);
    assert_eq!(infer_provider("gpt-oss-120b"), None);
    assert_eq!(check("gpt-47"), "nothing");
    assert_eq!(check("no name"), "nothing");
}

#[test]
fn a_name_that_one_provider_serves_tells_whose_it_is() {
    assert_eq!(infer_provider("llama-3.3-70b-versatile"), Some("groq"));
    assert_eq!(infer_provider("deepseek-ai/DeepSeek-V3"), Some("together"));
    assert_eq!(infer_provider("claude-3-opus"), Some("anthropic"));
    assert_eq!(infer_provider("openai/gpt-4o"), None, "the name says it itself");
}

#[test]
fn no_name_begins_like_another_providers_models() {
    for known in catalog().models() {
        for name in std::iter::once(&known.target.model).chain(&known.also).chain(&known.facts.aliases) {
            // In front of a slash stands who made the model, not who serves it.
            let begins = infer_by_prefix(name.as_str()).filter(|_| !name.as_str().contains('/'));
            if let Some(provider) = begins {
                assert_eq!(provider, known.provider().as_str(), "{name}");
                assert_eq!(infer_provider(name.as_str()), Some(provider), "{name}");
            }
        }
    }
}

#[test]
fn the_data_is_versioned_and_each_price_says_where_it_was_read() {
    let is_day = |text: &str| text.len() == 10 && text.split('-').map(str::len).eq([4, 2, 2]);
    assert!(is_day(catalog().date()));
    assert_eq!(catalog().version(), catalog().date().replace('-', "."));
    assert!(catalog().models().len() >= 80);
    let mut priced = 0;
    for known in catalog().models() {
        assert_eq!(known.facts.price.is_some(), known.price_source.is_some(), "{}", known.target);
        let Some(price) = &known.price_source else { continue };
        priced += 1;
        for source in std::iter::once(&price.source).chain(&price.confirmed_by) {
            assert!(source.url.starts_with("https://"), "{}: {}", known.target, source.url);
            assert!(is_day(&source.date), "{}: {}", known.target, source.date);
            assert!(source.date.as_str() <= catalog().date(), "{}: {}", known.target, source.date);
        }
        assert!(!price.confirmed_by.contains(&price.source), "{}", known.target);
    }
    assert!(priced >= 80, "{priced}");
}

#[test]
fn prices_and_limits_make_sense() {
    for Known { target, facts, price_source, .. } in catalog().models() {
        if let Some(price) = facts.price {
            assert!(price.input <= price.output, "{target}");
            assert!(price.input.0 > 0, "{target}");
            assert!(price.cached_input.is_none_or(|cached| cached < price.input), "{target}");
            assert!(price.cache_write.is_none_or(|write| write > price.input), "{target}");
        }
        let can = facts.capabilities;
        let limit = price_source.as_ref().and_then(|price| price.up_to_input_tokens);
        if let (Some(window), Some(limit)) = (can.context_window, limit) {
            assert!(limit < window, "{target}");
        }
        if let (Some(window), Some(output)) = (can.context_window, can.max_output_tokens) {
            assert!(output <= window, "{target}");
        }
    }
}

#[test]
fn every_model_has_the_same_attributes_where_its_price_is_known() {
    for Known { target, facts, .. } in catalog().models() {
        let missing: Vec<&str> = catalog()
            .attributes()
            .keys()
            .map(String::as_str)
            .filter(|word| !facts.attributes.contains_key(*word))
            .collect();
        let expected: &[&str] = if facts.price.is_some() { &[] } else { &["cost", "efficiency"] };
        assert_eq!(missing, expected, "{target}");
        assert!(facts.family.is_some(), "{target}");
    }
}

/// The model of a pool that has most of what counts for a kind of task, the first need twice as much as
/// the second and so on.
fn best(pool: &[&'static str], kind: TaskKind) -> &'static str {
    let needed = &catalog().task_strengths()[&kind];
    let score = |name: &str| -> u32 {
        let has = &catalog().find(name).unwrap().facts.strengths;
        (1..).zip(needed).map(|(rank, strength)| has[strength] / rank).sum()
    };
    pool.iter().copied().max_by_key(|name| score(name)).unwrap()
}

#[test]
fn the_guides_table_of_strengths_holds() {
    const MINI: &str = "openai/gpt-4o-mini";
    const GPT: &str = "openai/gpt-4.1";
    const OMNI: &str = "openai/gpt-4o";
    const SONNET: &str = "anthropic/claude-sonnet-4-20250514";
    for (kind, listed) in [
        (TaskKind::ToolUse, [MINI, GPT].as_slice()),
        (TaskKind::MathReasoning, &[MINI, GPT]),
        (TaskKind::Writing, &[SONNET]),
        (TaskKind::CreativeWriting, &[SONNET]),
        (TaskKind::Code, &[SONNET, OMNI]),
        (TaskKind::QuickAnswer, &[MINI]),
    ] {
        let found = best(&[MINI, GPT, OMNI, SONNET], kind);
        assert!(listed.contains(&found), "{kind}: {found}");
    }
    for (kind, listed) in [
        (TaskKind::ToolUse, MINI),
        (TaskKind::QuickAnswer, MINI),
        (TaskKind::Writing, SONNET),
        (TaskKind::CreativeWriting, SONNET),
        (TaskKind::Code, SONNET),
    ] {
        assert_eq!(best(&[SONNET, MINI], kind), listed, "{kind}");
    }
}

#[test]
fn a_wrong_file_is_refused() {
    for (changes, error) in [
        (r#""strengths": {"code": 0.5}"#, "good"),
        (r#""strengths": {"code": 1}"#, "good"),
        (r#""strengths": {"cod": 0.5}"#, "`cod` is not among the words"),
        (r#""strengths": {"code": 1.01}"#, "`1.01` is no such number"),
        (r#""strengths": {"code": -0.5}"#, "`-0.5` is no such number"),
        (r#""strengths": {}, "also": ["a"]"#, "`a` is there twice"),
        (r#""strengths": {}, "aliases": ["b", "b"]"#, "`b` is there twice"),
        (r#""strengths": {}, "aliases": ["b c"]"#, "`b c` is no name"),
        (r#""strengths": {}, "colour": "red""#, "the file is not of the form"),
        (
            r#""strengths": {}, "price": {"input": "0.1e3", "output": "1", "source": {"url": "", "date": ""}}"#,
            "`0.1e3` is no such number",
        ),
        (r#""strengths": {}, "price": {"input": "1", "output": "1"}"#, "the file is not of the form"),
    ] {
        assert_eq!(check_file(&model(changes)), error, "{changes}");
    }
    let strange = model(r#""strengths": {}"#);
    assert_eq!(check_file(&strange.replace("openai", "google")), "`google` is no known provider");
    assert_eq!(check_file(&format!("{strange}, {strange}")), "`a` is there twice");
}
