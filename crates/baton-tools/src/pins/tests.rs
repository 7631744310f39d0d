use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use baton_model::RawJson;
use tempfile::TempDir;

use super::*;

#[tokio::test]
async fn what_is_seen_first_is_pinned_and_a_change_is_not_offered() {
    let (pins, _folder) = pins();
    assert_eq!(judge(&pins, "s", "here", "a=1 b=2"), "a b");
    assert_eq!(judge(&pins, "s", "here", "a=9 b=2"), "b");
    assert_eq!(judge(&pins, "s", "here", "a=1 b=2"), "a b");
}

#[tokio::test]
async fn a_new_tool_is_offered() {
    let (pins, _folder) = pins();
    assert_eq!(judge(&pins, "s", "here", "a=1"), "a");
    assert_eq!(judge(&pins, "s", "here", "a=1 c=3"), "a c");
    assert_eq!(judge(&pins, "s", "here", "a=1 c=4"), "a");
}

#[tokio::test]
async fn a_tool_that_goes_and_comes_back_changed_is_changed() {
    let (pins, _folder) = pins();
    judge(&pins, "s", "here", "a=1");
    judge(&pins, "s", "here", "");
    assert_eq!(judge(&pins, "s", "here", "a=2"), "");
}

#[tokio::test]
async fn a_server_at_another_place_is_pinned_anew() {
    let (pins, _folder) = pins();
    judge(&pins, "s", "here", "a=1");
    assert_eq!(judge(&pins, "s", "there", "a=2"), "a");
    assert_eq!(judge(&pins, "s", "there", "a=1"), "");
}

#[tokio::test]
async fn an_approval_takes_what_was_seen_last() {
    let (pins, _folder) = pins();
    judge(&pins, "s", "here", "a=1 b=2");
    judge(&pins, "s", "here", "a=5 b=2");
    assert_eq!(pins.approve("s").unwrap(), ["a"]);
    assert_eq!(judge(&pins, "s", "here", "a=5 b=2"), "a b");
    assert_eq!(judge(&pins, "s", "here", "a=1 b=2"), "b");
    assert_eq!(pins.approve("t").unwrap_err().to_string(), "no MCP server `t` was seen yet");
}

#[tokio::test]
async fn what_is_pinned_is_told() {
    let (pins, _folder) = pins();
    judge(&pins, "s", "here", "a=1");
    judge(&pins, "s", "here", "a=2");
    let tool = PinnedTool { tool: "a".into(), hash: "1".into(), changed_to: Some("2".into()) };
    assert_eq!(pins.all(), [PinnedServer { server: "s".into(), tools: vec![tool] }]);
}

#[tokio::test]
async fn the_file_holds_them_for_its_owner_only() {
    let (pins, folder) = pins();
    let tasks = Tasks::new();
    pins.judge("s", "here", &definitions("a=1"), &tasks);
    assert!(tasks.shut_down(Duration::from_secs(30)).await);
    let path = folder.path().join("pins.json");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let again = Pins::open(path).unwrap();
    assert_eq!(judge(&again, "s", "here", "a=2"), "");
}

#[test]
fn a_file_of_something_else_is_refused() {
    for content in ["", "{}", "not json", r#"{"version": 2, "servers": {}}"#] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("pins.json");
        fs::write(&path, content).unwrap();
        assert!(matches!(Pins::open(path), Err(PinError::Content { .. })), "{content}");
    }
}

#[tokio::test]
async fn so_many_servers_are_remembered_and_no_more() {
    let (pins, _folder) = pins();
    for at in 0..MAX_SERVERS {
        pins.book().servers.insert(format!("s{at}"), Shelf::default());
    }
    let judged = pins.judge("another", "here", &definitions("a=1"), &Tasks::new());
    assert_eq!((judged.fits, judged.full), (vec![false], true));
    assert_eq!(judge(&pins, "s0", "here", "a=1"), "a");
}

fn pins() -> (Pins, TempDir) {
    let folder = TempDir::new().unwrap();
    (Pins::open(folder.path().join("pins.json")).unwrap(), folder)
}

/// The tools that are offered of a list of `name=hash`.
fn judge(pins: &Pins, server: &str, place: &str, tools: &str) -> String {
    let tools = definitions(tools);
    let judged = pins.judge(server, place, &tools, &Tasks::new());
    let offered = tools.iter().zip(judged.fits).filter_map(|(tool, fits)| fits.then_some(tool.name.as_str()));
    offered.collect::<Vec<_>>().join(" ")
}

fn definitions(tools: &str) -> Vec<Definition> {
    let tools = tools.split_whitespace().map(|tool| tool.split_once('=').unwrap());
    tools
        .map(|(name, hash)| Definition {
            name: name.to_owned(),
            description: None,
            schema: RawJson::parse("{}").unwrap(),
            hash: hash.to_owned(),
            unfit: None,
        })
        .collect()
}
