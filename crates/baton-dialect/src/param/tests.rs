//! Places that providers name, as their clients would.

use baton_model::FaultKind;
use insta::assert_snapshot;

use super::*;

/// Where a client with this body finds what a provider says of its own, with two tools of the client's.
fn told(client: Dialect, body: &str, param: Option<&str>, message: &str) -> String {
    let body = RawObject::parse(body.to_owned().into_bytes().into()).unwrap();
    let fault = Fault { param: param.map(str::to_owned), ..Fault::new(FaultKind::InvalidRequest, message) };
    param_for_client(client, &body, &fault, 2, true).unwrap_or_else(|| "-".to_owned())
}

#[test]
fn a_schema_that_is_refused_is_named_as_the_client_has_it() {
    use Dialect::{AnthropicMessages, OpenaiChat, OpenaiResponses};
    let said = "tools.1.custom.input_schema: JSON schema is invalid.";
    assert_snapshot!(told(OpenaiChat, "{}", None, said), @"tools[1].function.parameters");
    assert_snapshot!(told(OpenaiResponses, "{}", None, said), @"tools[1].parameters");
    assert_snapshot!(told(AnthropicMessages, "{}", Some("tools[0].function.parameters"), "x"), @"tools[0].input_schema");
    assert_snapshot!(told(AnthropicMessages, "{}", Some("tools[0].function.name"), "x"), @"tools[0].name");
    assert_snapshot!(told(OpenaiChat, "{}", Some("tools[0].name"), "x"), @"tools[0].function.name");
    let said = "output_config.format.schema: a type is missing";
    assert_snapshot!(told(OpenaiChat, "{}", None, said), @"response_format");
    assert_snapshot!(told(OpenaiResponses, "{}", Some("response_format"), "x"), @"text.format");
    assert_snapshot!(told(AnthropicMessages, "{}", Some("text.format.schema"), "x"), @"output_config.format");
}

#[test]
fn behind_the_clients_tools_stands_its_schema() {
    assert_snapshot!(told(Dialect::OpenaiChat, "{}", None, "tools.2.custom.input_schema: bad"), @"response_format");
}

#[test]
fn of_messages_the_list_is_named() {
    let said = "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6 > 5";
    assert_snapshot!(told(Dialect::OpenaiChat, "{}", None, said), @"messages");
    assert_snapshot!(told(Dialect::OpenaiResponses, "{}", None, said), @"input");
    assert_snapshot!(told(Dialect::AnthropicMessages, "{}", Some("input[3].call_id"), "x"), @"messages");
}

#[test]
fn a_setting_has_the_name_that_the_client_gave_it() {
    let body = r#"{"max_completion_tokens":1,"stop":"x","user":"u"}"#;
    assert_snapshot!(told(Dialect::OpenaiChat, body, None, "max_tokens: 1 > 0"), @"max_completion_tokens");
    assert_snapshot!(told(Dialect::OpenaiChat, body, None, "stop_sequences: no"), @"stop");
    assert_snapshot!(told(Dialect::OpenaiChat, body, None, "metadata.user_id: no"), @"user");
    // What the client did not say is not its mistake.
    assert_snapshot!(told(Dialect::OpenaiChat, body, None, "thinking.budget_tokens: no"), @"-");
}

#[test]
fn words_are_no_path() {
    assert_snapshot!(told(Dialect::OpenaiChat, "{}", None, "Your request: it is bad"), @"-");
    assert_snapshot!(told(Dialect::OpenaiChat, "{}", None, "no path at all"), @"-");
}
