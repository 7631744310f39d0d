use std::time::Duration;

use insta::assert_snapshot;

use super::*;
use crate::load::tests::load_text;

#[test]
fn a_server_is_a_url_or_a_command() {
    let servers = servers(
        "{acme/search: {url: 'https://MCP.example.com/mcp', headers: {authorization: 'Bearer x'}}, \
         files: {command: [mcp-files, --root, /srv], env: {TOKEN: x}}, one: {command: mcp-one}}",
    );
    let Transport::Http { url, headers } = &servers[0].transport else { panic!("no URL") };
    assert_eq!((servers[0].name.as_str(), url.as_str()), ("acme/search", "https://mcp.example.com/mcp"));
    assert!(headers["authorization"].is_sensitive());
    let Transport::Stdio { command, env } = &servers[1].transport else { panic!("no command") };
    assert_eq!(
        (command.as_slice(), env[0].0.as_str()),
        (&["mcp-files", "--root", "/srv"].map(str::to_owned)[..], "TOKEN")
    );
    assert_eq!(
        servers[2].transport,
        Transport::Stdio { command: vec!["mcp-one".to_owned()], env: Vec::new() }
    );
    assert_eq!(servers[2].limits, ServerLimits::default());
}

#[test]
fn limits_and_tools_are_taken() {
    let servers = servers(
        "{a: {url: 'http://127.0.0.1:1/', tools: [x, y], connect_timeout: 1s, call_timeout: 2m, max_result: 1MiB, max_calls: 3}}",
    );
    let limits = ServerLimits {
        connect_timeout: Duration::from_secs(1),
        call_timeout: Duration::from_secs(120),
        max_result: 1 << 20,
        max_calls: 3,
    };
    assert_eq!(servers[0].limits, limits);
    assert_eq!(servers[0].tools.as_deref(), Some(["x".to_owned(), "y".to_owned()].as_slice()));
}

#[test]
fn a_server_has_one_transport() {
    assert_snapshot!(check("mcp_servers: {a: {}}"), @"mcp_servers.a: `url` is missing (or `command`, for a program of this machine)");
    assert_snapshot!(check("mcp_servers: {a: {url: 'https://a/', command: [b]}}"), @"mcp_servers.a.command: both `url` and `command` are given (keep one of them)");
    assert_snapshot!(check("mcp_servers: {a: {url: 'https://a/', env: {X: y}}}"), @"mcp_servers.a.env: a URL gets no environment (write `headers`)");
    assert_snapshot!(check("mcp_servers: {a: {command: b, headers: {x-y: z}}}"), @"mcp_servers.a.headers: a command gets no headers (write `env`)");
}

#[test]
fn names_and_keys_are_checked() {
    assert_snapshot!(check("mcp_servers: {'docker:search': {command: b}}"), @"mcp_servers.docker:search: this is not a name of an MCP server (write `search`; a request for `docker:search` finds it)");
    assert_snapshot!(check("mcp_servers: {'a b': {command: b}}"), @"mcp_servers.a b: this is not a name of an MCP server (letters, digits, `-`, `_`, `.` and `/`)");
    assert_snapshot!(check("mcp_servers: {a: {command: b, cal_timeout: 1s}}"), @"mcp_servers.a.cal_timeout: unknown key (did you mean `call_timeout`?)");
    assert_snapshot!(check("mcp_server: {a: {command: b}}"), @"mcp_server: unknown key (did you mean `mcp_servers`?)");
}

#[test]
fn urls_and_headers_are_checked() {
    assert_snapshot!(check("mcp_servers: {a: {url: mcp.example.com/mcp}}"), @"mcp_servers.a.url: this is not a URL (did you mean `https://mcp.example.com/mcp`?)");
    assert_snapshot!(check("mcp_servers: {a: {url: 'https://user:pass@mcp.example.com/mcp'}}"), @"mcp_servers.a.url: a URL with a user or a password is not taken");
    assert_snapshot!(check("mcp_servers: {a: {url: 'https://a/', headers: {mcp-session-id: x}}}"), @"mcp_servers.a.headers.mcp-session-id: Baton sets this header itself");
    assert_snapshot!(check("mcp_servers: {a: {url: 'https://a/', headers: {'a b': x}}}"), @"mcp_servers.a.headers.a b: this is not the name of a header");
}

#[test]
fn commands_and_variables_are_checked() {
    assert_snapshot!(check("mcp_servers: {a: {command: 'mcp-files --root /srv'}}"), @"mcp_servers.a.command: a command with arguments is a list (write `[program, argument]`)");
    assert_snapshot!(check("mcp_servers: {a: {command: []}}"), @"mcp_servers.a.command: the list is empty");
    assert_snapshot!(check("mcp_servers: {a: {command: b, env: {1X: y}}}"), @"mcp_servers.a.env.1X: this is not the name of a variable (letters, digits and `_`)");
    assert_snapshot!(check("mcp_servers: {a: {command: b, tools: [x, x]}}"), @"mcp_servers.a.tools[1]: `x` is in the list twice");
    assert_snapshot!(check("mcp_servers: {a: {command: b, max_result: 1GiB, max_calls: 0}}"), @r#"
    mcp_servers.a.max_result: expected 1024 to 16777216 bytes
    mcp_servers.a.max_calls: expected a whole number from 1 to 100000
    "#);
}

#[test]
fn patterns_of_urls_are_checked() {
    let config = load_text("mcp_allow_urls: ['https://*.example.com/*', 'https://a.test/mcp']").unwrap();
    let patterns: Vec<&str> = config.tools.allow_urls.iter().map(UrlPattern::as_str).collect();
    assert_eq!(patterns, ["https://*.example.com/*", "https://a.test/mcp"]);
    assert_snapshot!(check("mcp_allow_urls: ['*']"), @"mcp_allow_urls[0]: the URL must begin with `https://` or `http://` (such as `https://mcp.example.com/*` or `https://*.example.com/mcp`)");
    assert_snapshot!(check("mcp_allow_urls: 'https://a.*.com/'"), @"mcp_allow_urls: `*` can stand alone as the host, before the host's first `.`, and at the end of the path (such as `https://mcp.example.com/*` or `https://*.example.com/mcp`)");
}

#[test]
fn no_secret_is_in_the_record() {
    let config = load_text(
        "mcp_servers: {a: {url: 'https://a.test/', headers: {authorization: canary}}, \
         b: {command: [run, --token, canary], env: {TOKEN: canary}}}",
    );
    let document = config.unwrap().document()["mcp_servers"].to_string();
    assert_snapshot!(document, @r#"{"a":{"headers":{"authorization":"[secret]"},"limits":{"call_timeout_ms":60000,"connect_timeout_ms":5000,"max_calls":64,"max_result":262144},"tools":null,"url":"https://a.test/"},"b":{"arguments":["[secret]","[secret]"],"command":"run","env":{"TOKEN":"[secret]"},"limits":{"call_timeout_ms":60000,"connect_timeout_ms":5000,"max_calls":64,"max_result":262144},"tools":null}}"#);
}

#[test]
fn a_changed_secret_is_another_configuration() {
    let load = |token: &str| {
        load_text(&format!("mcp_servers: {{b: {{command: [run, {token}], env: {{TOKEN: {token}}}}}}}"))
            .unwrap()
    };
    assert!(!load("one").same_as(&load("two")));
    assert_eq!(load("one").version(), load("two").version());
}

fn servers(text: &str) -> Vec<Server> {
    load_text(&format!("mcp_servers: {text}")).unwrap().tools.servers
}

/// The mistakes, one a line.
#[track_caller]
fn check(text: &str) -> String {
    let error = load_text(text).unwrap_err();
    let lines = error.mistakes.iter().map(|mistake| {
        let hint = mistake.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: {}{hint}", mistake.path, mistake.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What the endpoint answers from: `select`, then each specialist, then who does the rest; or what is wrong.
fn endpoint(text: &str) -> String {
    let providers = "providers: {oai: {dialect: openai_chat, base_url: 'http://127.0.0.1:1/v1', api_key: k, models: [small]}}\n";
    match load_text(&format!("{providers}{text}")) {
        Ok(config) => {
            let endpoint = config.mcp_endpoint;
            let rows =
                endpoint.specialists.iter().map(|row| format!("{}={}", row.name, row.models.join(",")));
            let rows: Vec<String> = rows.collect();
            format!("{} | {} | {}", endpoint.select.join(","), rows.join(" "), endpoint.otherwise)
        }
        Err(error) => {
            let told = |it: &crate::Mistake| {
                format!(
                    "{}: {}{}",
                    it.path,
                    it.message,
                    it.hint.as_ref().map(|it| format!(" ({it})")).unwrap_or_default()
                )
            };
            error.mistakes.iter().map(told).collect::<Vec<_>>().join("\n")
        }
    }
}

#[test]
fn there_are_specialists_without_a_word_and_the_policy_chooses_where_nobody_serves_their_model() {
    assert_snapshot!(endpoint(""), @"baton/auto | code_review=baton/auto creative_expansion=baton/auto fact_checking=baton/auto summarization=baton/auto | summarization");
    assert_snapshot!(
        endpoint("default_provider: oai"),
        @"baton/auto | code_review=claude-3-5-sonnet-20241022 creative_expansion=claude-3-opus-20240229 fact_checking=openai/gpt-4.1 summarization=openai/gpt-4o-mini | summarization"
    );
}

#[test]
fn a_table_of_the_files_own_names_what_a_request_may_name() {
    assert_snapshot!(
        endpoint("routes: {r: {pool: [oai/small]}}\nmcp_endpoint: {select: r, specialists: {a: {model: oai/small}, b: {model: [oai/small, echo/hello]}, c: {model: baton/auto}}, otherwise: b}"),
        @"r | a=oai/small b=oai/small,echo/hello c=baton/auto | b"
    );
}

#[test]
fn a_wrong_table_is_told_with_its_place() {
    assert_snapshot!(endpoint("mcp_endpoint: {specialists: {a: {model: oai/smal}}, otherwise: a}"), @"mcp_endpoint.specialists.a.model: no configured provider serves a model `oai/smal`");
    assert_snapshot!(endpoint("mcp_endpoint: {specialists: {a: {}}, otherwise: a}"), @"mcp_endpoint.specialists.a: `model` is missing (a model, several, a route, `policy/<name>` or `agent/<name>`)");
    assert_snapshot!(endpoint("mcp_endpoint: {specialists: {writer: {model: oai/small}}}"), @"mcp_endpoint: `otherwise` is missing (which of writer does the rest)");
    assert_snapshot!(endpoint("mcp_endpoint: {specialists: {writer: {model: oai/small}}, otherwise: writr}"), @"mcp_endpoint.otherwise: there is no specialist `writr` (did you mean `writer`?)");
    assert_snapshot!(endpoint("mcp_endpoint: {select: policy/none}"), @"mcp_endpoint.select: there is no policy `none` (add it to `policies`)");
}
