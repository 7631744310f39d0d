use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::load::tests::Bench;

fn reloader(bench: &Bench) -> Reloader {
    let running = Arc::new(Config::load(&bench.sources).unwrap());
    Reloader::new(bench.sources.clone(), running)
}

fn reload(reloader: &mut Reloader, wake: Wake) -> Option<Reload> {
    let loaded = load(&reloader.sources);
    reloader.consider(loaded, wake)
}

/// What there is to report, in short.
#[track_caller]
fn check(report: Option<Reload>) -> String {
    match report {
        None => "nothing".to_owned(),
        Some(Reload::Unchanged) => "unchanged".to_owned(),
        Some(Reload::Refused(error)) => format!("refused: {}", error.mistakes[0].message),
        Some(Reload::Changed { config, needs_restart }) => {
            format!("changed: {} {} {needs_restart:?}", config.listen, config.limits.max_body_bytes)
        }
    }
}

const BASE: &str = "limits: { max_body_bytes: 2001 }";

#[test]
fn a_good_file_is_taken_and_a_bad_one_changes_nothing() {
    let bench = Bench::new(BASE);
    let mut reloader = reloader(&bench);
    bench.write("limits: { max_body_bytes: 2002 }");
    assert_eq!(check(reload(&mut reloader, Wake::Files)), "changed: 127.0.0.1:8080 2002 []");
    bench.write("limits: { max_body_byte: 3 }");
    assert_eq!(check(reload(&mut reloader, Wake::Files)), "refused: unknown key");
    assert_eq!(reloader.running.limits.max_body_bytes, 2002);
    bench.write("limits: { max_body_bytes: 2002 } # corrected");
    assert_eq!(check(reload(&mut reloader, Wake::Files)), "nothing");
}

#[test]
fn the_same_mistakes_are_reported_once_unless_somebody_asks() {
    let bench = Bench::new(BASE);
    let mut reloader = reloader(&bench);
    bench.write("nope: 1");
    assert_eq!(check(reload(&mut reloader, Wake::Files)), "refused: unknown key");
    assert_eq!(check(reload(&mut reloader, Wake::Files)), "nothing");
    assert_eq!(check(reload(&mut reloader, Wake::Asked)), "refused: unknown key");
    fs::remove_file(bench.dir.path().join("baton.yaml")).unwrap();
    assert!(check(reload(&mut reloader, Wake::Files)).starts_with("refused: there is no file"));
}

#[test]
fn an_unchanged_file_is_reported_only_to_somebody_who_asks() {
    let bench = Bench::new(BASE);
    let mut reloader = reloader(&bench);
    bench.write(&format!("{BASE} # other words"));
    assert_eq!(check(reload(&mut reloader, Wake::Files)), "nothing");
    assert_eq!(check(reload(&mut reloader, Wake::Asked)), "unchanged");
}

#[test]
fn keys_that_need_a_restart_keep_their_running_values_and_are_named_once() {
    let bench = Bench::new(BASE);
    let mut reloader = reloader(&bench);
    let text = "listen: 0.0.0.0:1\ndata_dir: d\ndatabase: postgres://h\njournal: { max_bytes: 1MiB }\n"
        .to_owned()
        + "telemetry: { log_format: json }\nlimits: { max_connections: 1, header_timeout: 1s }";
    bench.write(&text);
    assert_eq!(
        check(reload(&mut reloader, Wake::Files)),
        r#"changed: 127.0.0.1:8080 33554432 ["listen", "data_dir", "database", "journal", "telemetry", "limits.max_connections", "limits.header_timeout"]"#
    );
    assert_eq!(check(reload(&mut reloader, Wake::Files)), "nothing");
    bench.write("limits: { max_body_bytes: 32MiB }");
    assert_eq!(check(reload(&mut reloader, Wake::Files)), "changed: 127.0.0.1:8080 33554432 []");
}

#[test]
fn a_new_address_does_not_open_the_old_one() {
    let bench = Bench::new("listen: 0.0.0.0:1");
    let mut reloader = reloader(&bench);
    bench.write("listen: 127.0.0.1:1");
    assert_eq!(check(reload(&mut reloader, Wake::Files)), r#"changed: 0.0.0.0:1 33554432 ["listen"]"#);
    assert!(reloader.running.auth.required);
}

#[test]
fn a_changed_secret_file_is_a_change() {
    let bench = Bench::new("");
    let key = bench.dir.path().join("key");
    fs::write(&key, "one").unwrap();
    bench.write(&format!("providers: {{ openai: {{ api_key: \"${{file:{}}}\" }} }}", key.display()));
    let mut reloader = reloader(&bench);
    assert_eq!(check(reload(&mut reloader, Wake::Files)), "nothing");
    assert!(reloader.files().contains(&key));
    fs::write(&key, "two").unwrap();
    assert_eq!(check(reload(&mut reloader, Wake::Files)), "changed: 127.0.0.1:8080 33554432 []");
    assert_eq!(reloader.running.providers[0].upstream.credentials[0].expose(), "two");
}

#[tokio::test]
async fn a_written_file_arrives_by_itself() {
    let bench = Bench::new(BASE);
    let running = Arc::new(Config::load(&bench.sources).unwrap());
    let mut watcher = Watcher::start(bench.sources.clone(), running).unwrap();
    bench.write("limits: { max_body_bytes: 2002 }");
    assert_eq!(check(watcher.next().await), "changed: 127.0.0.1:8080 2002 []");
    bench.write("limits: 3");
    assert_eq!(
        check(watcher.next().await),
        "refused: expected a map of keys and values, found a single value"
    );
}

#[tokio::test]
async fn a_swapped_link_beside_the_file_arrives_as_kubernetes_does_it() {
    let bench = Bench::new("");
    let dir = bench.dir.path();
    fs::remove_file(dir.join("baton.yaml")).unwrap();
    for (name, bytes) in [("one", 2001), ("two", 2002)] {
        fs::create_dir(dir.join(name)).unwrap();
        fs::write(dir.join(name).join("baton.yaml"), format!("limits: {{ max_body_bytes: {bytes} }}"))
            .unwrap();
    }
    symlink("one", dir.join("..data")).unwrap();
    symlink("..data/baton.yaml", dir.join("baton.yaml")).unwrap();
    let running = Arc::new(Config::load(&bench.sources).unwrap());
    assert_eq!(running.limits.max_body_bytes, 2001);
    let mut watcher = Watcher::start(bench.sources.clone(), running).unwrap();
    symlink("two", dir.join("..data_tmp")).unwrap();
    fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    assert_eq!(check(watcher.next().await), "changed: 127.0.0.1:8080 2002 []");
}

#[tokio::test]
async fn what_changed_before_the_watch_began_arrives_too() {
    let bench = Bench::new(BASE);
    let running = Arc::new(Config::load(&bench.sources).unwrap());
    bench.write("limits: { max_body_bytes: 2002 }");
    let mut watcher = Watcher::start(bench.sources.clone(), running).unwrap();
    assert_eq!(check(watcher.next().await), "changed: 127.0.0.1:8080 2002 []");
}

#[tokio::test]
async fn a_secret_in_another_directory_is_watched_too() {
    let bench = Bench::new("");
    let elsewhere = tempfile::tempdir().unwrap();
    let key = elsewhere.path().join("key");
    fs::write(&key, "one").unwrap();
    bench.write(&format!("providers: {{ openai: {{ api_key: \"${{file:{}}}\" }} }}", key.display()));
    let running = Arc::new(Config::load(&bench.sources).unwrap());
    let mut watcher = Watcher::start(bench.sources.clone(), running).unwrap();
    fs::write(elsewhere.path().join("draft"), "two").unwrap();
    fs::rename(elsewhere.path().join("draft"), &key).unwrap();
    let Some(Reload::Changed { config, .. }) = watcher.next().await else { panic!("no change") };
    assert_eq!(config.providers[0].upstream.credentials[0].expose(), "two");
}

#[tokio::test]
async fn asking_is_always_answered() {
    let bench = Bench::new(BASE);
    let running = Arc::new(Config::load(&bench.sources).unwrap());
    let mut watcher = Watcher::start(bench.sources.clone(), running).unwrap();
    watcher.trigger().reload();
    assert_eq!(check(watcher.next().await), "unchanged");
    let trigger = watcher.trigger();
    drop(watcher);
    trigger.reload();
}
