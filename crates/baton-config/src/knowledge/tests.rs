use baton_model::Target;

use crate::Config;
use crate::load::tests::load_text;

/// A configuration with these providers and, below them, these lines.
fn load(providers: &str, rest: &str) -> Config {
    load_text(&format!("providers: {{{providers}}}\n{rest}")).unwrap()
}

/// The models of a provider that something is known of.
fn known(config: &Config, provider: &str) -> Vec<String> {
    let models = config.knowledge().1.models;
    models
        .into_keys()
        .map(|target| target.to_string())
        .filter(|target| target.starts_with(provider))
        .collect()
}

fn target(text: &str) -> Target {
    text.parse().unwrap()
}

const OPENAI: &str = "openai: {api_key: a}";
const ANTHROPIC: &str = "anthropic: {api_key: a}";

#[test]
fn only_the_models_of_configured_providers_are_known() {
    let config = load(OPENAI, "models: {echo/a: {price: {input: 1, output: 2}}}");
    let (_, knowledge) = config.knowledge();
    assert!(knowledge.models.contains_key(&target("openai/gpt-4o-mini")));
    assert!(knowledge.models.contains_key(&target("echo/a")));
    assert!(known(&config, "anthropic/").is_empty());
    assert_eq!(knowledge.task_strengths.len(), baton_policy::TaskKind::ALL.len());
}

#[test]
fn a_provider_that_lists_its_models_has_no_others() {
    let config = load("openai: {api_key: a, models: [gpt-4o-mini, own]}", "");
    assert_eq!(known(&config, "openai/"), ["openai/gpt-4o-mini"]);
}

#[test]
fn a_provider_under_another_name_of_its_preset_has_the_same_models() {
    let own_names = |config: &Config, provider: &str| -> Vec<String> {
        let names = known(config, provider);
        names.iter().map(|name| name.split_once('/').unwrap().1.to_owned()).collect()
    };
    let (one, two) = (load("gemini: {api_key: a}", ""), load("google: {api_key: a}", ""));
    assert!(!own_names(&one, "gemini/").is_empty());
    assert_eq!(own_names(&one, "gemini/"), own_names(&two, "google/"));
}

#[test]
fn a_model_is_known_by_each_name_that_is_sent_as_it_is() {
    let (_, knowledge) = load(ANTHROPIC, "").knowledge();
    let [own, dated] = ["anthropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4-5-20250929"]
        .map(|name| knowledge.models[&target(name)].clone());
    assert!(own.price.is_some() && own.price == dated.price && own.strengths == dated.strengths);
    assert!(!own.aliases.is_empty() && dated.aliases.is_empty());
}

#[test]
fn what_the_file_says_goes_over_what_the_catalogue_knows() {
    let file = concat!(
        "models:\n",
        "  openai/gpt-4o-mini:\n",
        "    aliases: [small]\n",
        "    strengths: { code: 0.99, law: 0.5 }\n",
        "    attributes: { speed: 1 }\n",
        "    price: { input: 9, output: 9 }\n",
        "    capabilities: { vision: false }\n",
    );
    let catalogue = load(OPENAI, "").knowledge().1.models[&target("openai/gpt-4o-mini")].clone();
    let merged = load(OPENAI, file).knowledge().1.models[&target("openai/gpt-4o-mini")].clone();
    assert_eq!(merged.aliases.iter().map(baton_model::ModelName::as_str).collect::<Vec<_>>(), ["small"]);
    assert_eq!((merged.strengths["code"], merged.strengths["law"]), (990_000, 500_000));
    assert_eq!(merged.strengths["math"], catalogue.strengths["math"]);
    assert_eq!(
        (merged.attributes["speed"], merged.attributes["cost"]),
        (1_000_000, catalogue.attributes["cost"])
    );
    let price = merged.price.unwrap();
    assert_eq!((price.input.0, price.cached_input), (9_000_000_000, None));
    assert!(catalogue.price.unwrap().cached_input.is_some());
    assert_eq!(
        (merged.capabilities.vision, merged.capabilities.tools),
        (Some(false), catalogue.capabilities.tools)
    );
    assert_eq!((&merged.family, &merged.scored_as), (&catalogue.family, &catalogue.scored_as));
}

#[test]
fn a_name_of_the_file_wins_over_the_same_alias_of_the_catalogue() {
    let of = |rest: &str| {
        let (_, knowledge) = load(ANTHROPIC, rest).knowledge();
        let alias = "claude-3-haiku".parse().unwrap();
        let has_alias = knowledge.models.into_iter().filter(|(_, facts)| facts.aliases.contains(&alias));
        has_alias.map(|(target, _)| target.to_string()).collect::<Vec<_>>()
    };
    let own = "anthropic/claude-3-haiku-20240307";
    assert_eq!(of(""), [own]);
    assert_eq!(of(&format!("models: {{{own}: {{aliases: [h]}}}}")), [own]);
    assert_eq!(of("models: {echo/a: {aliases: [claude-3-haiku]}}"), ["echo/a"]);
    assert_eq!(
        of(&format!("models: {{echo/a: {{aliases: [claude-3-haiku]}}, {own}: {{aliases: [h]}}}}")),
        ["echo/a"]
    );
    assert!(of("routes: {claude-3-haiku: {pool: [echo/a]}}").is_empty());
    assert!(
        of(&format!("models: {{{own}: {{aliases: [h]}}}}\nroutes: {{claude-3-haiku: {{pool: [echo/a]}}}}"))
            .is_empty()
    );
}

#[test]
fn a_model_under_a_short_name_of_the_catalogue_leaves_the_name_where_it_is() {
    let (_, knowledge) = load(ANTHROPIC, "models: {anthropic/claude-3-haiku: {}}").knowledge();
    assert!(knowledge.models[&target("anthropic/claude-3-haiku")].aliases.is_empty());
    assert!(knowledge.models[&target("anthropic/claude-3-haiku")].price.is_some());
}

#[test]
fn the_version_is_that_of_what_is_known() {
    let version = |rest: &str| load(OPENAI, rest).knowledge().0;
    assert_eq!(version("").len(), 16);
    assert_eq!(version(""), version("limits: {max_connections: 5}\npolicies: {a: {order: cheapest}}"));
    assert_ne!(version(""), version("models: {openai/gpt-4o-mini: {strengths: {law: 0.5}}}"));
}
