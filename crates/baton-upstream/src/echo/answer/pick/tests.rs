use super::*;

#[test]
fn words_in_the_name_count_most() {
    check_tool("What is the weather in Paris?", "get_weather");
}

#[test]
fn words_in_the_description_count_too() {
    check_tool("please plan a journey by train", "bookTrip");
}

#[test]
fn camel_case_is_several_words() {
    check_tool("I want a trip", "bookTrip");
}

#[test]
fn the_first_tool_is_taken_when_none_fits() {
    check_tool("hm", "search");
}

#[test]
fn stop_words_do_not_count() {
    check_tool("get me the", "search");
}

#[test]
fn a_city_is_a_proper_name() {
    check_name("What is the weather in San Francisco?", Some("San Francisco"));
}

#[test]
fn the_beginning_of_a_sentence_is_none() {
    check_name("Hello there. What now?", None);
}

#[test]
fn a_name_ends_at_a_comma() {
    check_name("fly from Oslo, Bergen or so", Some("Oslo"));
}

#[test]
fn the_word_i_is_none() {
    check_name("may I ask", None);
}

#[track_caller]
fn check_tool(text: &str, expected: &str) {
    let tool = |name: &str, description: &str| Function {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        parameters: None,
    };
    let tools = [
        tool("search", "Finds pages."),
        tool("get_weather", "Current conditions for a place."),
        tool("bookTrip", "Plans a journey by train or bus."),
    ];
    assert_eq!(fitting(&tools, text).map(|tool| tool.name.as_str()), Some(expected));
}

#[track_caller]
fn check_name(text: &str, expected: Option<&str>) {
    assert_eq!(proper_name(text), expected);
}
