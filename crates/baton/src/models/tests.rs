use super::*;

/// What is shown of a model of the catalogue, the price replaced if one is given.
fn check(name: &str, price: Option<Price>) -> String {
    let known = catalog().find(name).unwrap();
    let mut facts = known.facts.clone();
    facts.price = price.or(facts.price);
    let model =
        Shown { target: known.target.clone(), facts: &facts, known: Some(known), in_file: price.is_some() };
    model.lines().join("\n")
}

#[test]
fn a_price_of_the_catalogue_says_where_it_was_read() {
    let shown = check("claude-3-opus", None);
    assert!(
        shown.starts_with("anthropic/claude-3-opus-20240229\n  aliases       claude-3-opus\n"),
        "{shown}"
    );
    assert!(
        shown.contains("  price         $15.00 in, $75.00 out, $1.50 cached in, $18.75 cache write, per million tokens\n  read from     https://"),
        "{shown}"
    );
    assert!(shown.contains("  confirmed by  https://"), "{shown}");
    assert!(shown.contains("  cannot        audio, structured_output, logprobs, reasoning\n"), "{shown}");
    assert!(shown.contains(&format!("  facts from    catalogue ({})", catalog().version())), "{shown}");
}

#[test]
fn a_price_of_the_file_is_the_files() {
    let price = Price {
        input: NanoUsd(1),
        output: NanoUsd(2_000_000_000),
        cached_input: None,
        cache_write: None,
        cache_write_1h: None,
    };
    let shown = check("claude-3-opus", Some(price));
    let wanted =
        "  price         $0.000000001 in, $2.00 out, per million tokens\n  read from     the configuration\n";
    assert!(shown.contains(wanted), "{shown}");
    assert!(!shown.contains("https://"), "{shown}");
    assert!(shown.contains("  facts from    catalogue, file"), "{shown}");
}

#[test]
fn what_is_unknown_is_said_to_be() {
    let facts = Facts::default();
    let target: Target = "local/a".parse().unwrap();
    let model = Shown { target, facts: &facts, known: None, in_file: false };
    assert_eq!(
        model.lines().join("\n"),
        "local/a\n  context       unknown\n  output        unknown\n  \
         unknown       vision, audio, tools, structured_output, logprobs, reasoning\n  \
         price         unknown\n  facts from    -"
    );
    assert_eq!(model.row(), ["local/a", "-", "-", "-", "-", "-"]);
    assert_eq!(model.to_json()["price"], Value::Null);
}

#[test]
fn a_row_is_short() {
    let known = catalog().find("gpt-4o-mini").unwrap();
    let model =
        Shown { target: known.target.clone(), facts: &known.facts, known: Some(known), in_file: false };
    let can = "vision tools structured_output logprobs";
    assert_eq!(model.row(), ["openai/gpt-4o-mini", "128k", "0.15", "0.60", can, "catalogue"]);
    assert_eq!(model.to_json()["price"]["input"], "0.15");
    assert_eq!(model.to_json()["strengths"]["tool_use"], 0.8);
}

#[test]
fn windows_are_shown_as_people_say_them() {
    for (tokens, text) in
        [(512, "512"), (8_192, "8k"), (1_048_576, "1M"), (2_000_000, "2M"), (1_500_000, "1.5M")]
    {
        assert_eq!(short(tokens), text);
    }
}
