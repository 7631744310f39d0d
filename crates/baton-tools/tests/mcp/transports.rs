//! Both transports, both eras of the protocol, against the official SDK.

use serde_json::json;

use super::honest::{Era, Honest};
use super::support::{Gateway, PATIENCE, call, honest, honest_stdio, http, said, shown, stdio};

const TOOLS: &str = "acme-search__echo\nacme-search__sum\nacme-search__picture\nacme-search__variables\n\
                     acme-search__refuse\nacme-search__wait\nacme-search__exit\nacme-search__turn\nacme-search__long";

#[tokio::test]
async fn tools_are_called_over_http_with_initialize() {
    over_http(Era::Legacy).await;
}

#[tokio::test]
async fn tools_are_called_over_http_with_discover() {
    over_http(Era::Modern).await;
}

#[tokio::test]
async fn tools_are_called_over_stdio_with_initialize() {
    over_stdio("legacy").await;
}

#[tokio::test]
async fn tools_are_called_over_stdio_with_discover() {
    over_stdio("modern").await;
}

async fn over_http(era: Era) {
    let server = honest(&Honest::new(era)).await;
    works(&Gateway::of(http("acme/search", &server.url()))).await;
}

async fn over_stdio(era: &str) {
    let program = honest_stdio();
    let server = stdio("acme/search", &[program.to_str().unwrap(), era]);
    let gateway = Gateway::of(server);
    works(&gateway).await;
    let set = gateway.open("acme/search").await;
    let variables = said(&set, "acme-search__variables", "{}").await;
    assert_eq!(variables, "PATH");
}

async fn works(gateway: &Gateway) {
    let set = gateway.open("acme/search").await;
    assert_eq!(shown(&set), TOOLS);
    assert_eq!(said(&set, "acme-search__echo", r#"{"text": "hello"}"#).await, "hello");

    let sum = call(&set, "acme-search__sum", r#"{"a": 1.5, "b": 2}"#).await;
    assert_eq!((sum.text.as_str(), &sum.result), (r#"{"sum":3.5}"#, &json!({"sum": 3.5})));
    assert_eq!((sum.server.as_str(), sum.tool.as_str(), sum.is_error), ("acme/search", "sum", false));

    let picture = call(&set, "acme-search__picture", "").await;
    assert_eq!(picture.text, "a dot\n[image: image/png, 12 bytes, not shown]");
    assert_eq!(picture.result[1]["mimeType"], "image/png");

    let refused = call(&set, "acme-search__refuse", "{}").await;
    assert!(refused.is_error && refused.code.is_none());
    assert_eq!(refused.text, "no such file");

    let long = call(&set, "acme-search__long", "{}").await;
    assert!(!long.is_error);
    assert!(long.text.ends_with("\n[cut here: the result has 2097152 bytes, the first 262144 are shown]"));
    assert_eq!(long.bytes, 2_097_152);

    // It changes a tool and says so: from then on that tool is not called any more.
    assert_eq!(said(&set, "acme-search__turn", "{}").await, "turned");
    let disabled = "acme/search: definition_changed: changed since they were pinned, and disabled: `echo`";
    let noticed = async {
        while !shown(&gateway.open("acme/search").await).ends_with(disabled) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, noticed).await.unwrap();
    let refused = said(&set, "acme-search__echo", r#"{"text": "hello"}"#).await;
    assert!(refused.starts_with("definition_changed: error: the server changed this tool"), "{refused}");
    assert_eq!(gateway.registry.approve("acme/search").unwrap(), ["echo"]);
    assert_eq!(shown(&gateway.open("acme/search").await), TOOLS);
}
