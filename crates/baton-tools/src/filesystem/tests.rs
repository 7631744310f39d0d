use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// A folder `in` with files, beside a secret that is outside of it.
fn tree() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    fs::create_dir_all(at("in/deep")).unwrap();
    fs::write(at("in/a.txt"), "one\ntwo\n").unwrap();
    fs::write(at("in/deep/b.txt"), "three\ntwo more\n").unwrap();
    fs::write(at("secret.txt"), "two secrets").unwrap();
    fs::create_dir(at("outside")).unwrap();
    fs::write(at("outside/c.txt"), "two").unwrap();
    symlink(at("secret.txt"), at("in/link.txt")).unwrap();
    symlink(at("outside"), at("in/away")).unwrap();
    dir
}

fn open_in(dir: &TempDir, access: FileAccess) -> Filesystem {
    Filesystem::new(vec![dir.path().join("in")], access, None)
}

/// What a call comes to, `!` before an error, with the folder's own name left out.
async fn check(dir: &TempDir, access: FileAccess, tool: &str, arguments: Value) -> String {
    let files = open_in(dir, access);
    let called =
        files.call(&format!("filesystem__{tool}"), &arguments.to_string(), Duration::from_secs(20)).await;
    let text = called.text.replace(&dir.path().display().to_string(), "");
    if called.is_error { format!("!{text}") } else { text }
}

async fn reads(arguments: Value) -> String {
    check(&tree(), FileAccess::Read, "read_file", arguments).await
}

#[tokio::test]
async fn files_below_the_folder_are_read() {
    assert_eq!(reads(json!({"path": "a.txt"})).await, "one\ntwo\n");
    assert_eq!(reads(json!({"path": "./deep/./b.txt"})).await, "three\ntwo more\n");
    let dir = tree();
    let path = dir.path().join("in/a.txt");
    assert_eq!(check(&dir, FileAccess::Read, "read_file", json!({"path": path})).await, "one\ntwo\n");
}

#[tokio::test]
async fn nothing_outside_is_reached() {
    let outside = "!the path is not below one of the folders";
    for path in ["../secret.txt", "deep/../../secret.txt", "/etc/passwd", "/", ".."] {
        assert_eq!(reads(json!({"path": path})).await, outside, "{path}");
    }
    let dir = tree();
    for path in ["in/../secret.txt", "secret.txt", "inside/x"] {
        let path = dir.path().join(path);
        assert_eq!(check(&dir, FileAccess::Read, "read_file", json!({"path": path})).await, outside);
    }
}

#[tokio::test]
async fn no_link_is_followed() {
    assert_eq!(reads(json!({"path": "link.txt"})).await, "!the file is a link, and none is followed");
    for path in ["away/c.txt", "away/../../secret.txt"] {
        let said = reads(json!({"path": path})).await;
        assert!(said.starts_with('!') && !said.contains("two"), "{said}");
    }
    let listed = check(&tree(), FileAccess::Read, "list_directory", json!({"path": "away"})).await;
    assert_eq!(listed, "!a folder of the path is no folder, or a link, and none is followed");
    let found = check(&tree(), FileAccess::Read, "search_files_content", json!({"query": "two"})).await;
    assert_eq!(found, "/in/a.txt:2: two\n/in/deep/b.txt:2: two more");
}

#[tokio::test]
async fn a_folder_is_listed_with_kinds() {
    let listed = check(&tree(), FileAccess::Read, "list_directory", json!({})).await;
    assert_eq!(listed, "[FILE] a.txt\n[LINK] away\n[DIR] deep\n[LINK] link.txt");
    assert_eq!(check(&tree(), FileAccess::Read, "list_allowed_directories", json!({})).await, "/in");
}

#[tokio::test]
async fn only_text_in_regular_files_is_read_and_long_ones_are_cut() {
    let dir = tree();
    fs::write(dir.path().join("in/bytes"), [0xff, 0xfe]).unwrap();
    fs::write(dir.path().join("in/long"), "ä".repeat(200_000)).unwrap();
    let reads = async |path: &str| check(&dir, FileAccess::Read, "read_file", json!({"path": path})).await;
    assert_eq!(reads("bytes").await, "!this is no text");
    assert_eq!(reads("deep").await, "!this is no regular file");
    assert_eq!(reads("nowhere").await, "!the file is not there");
    let long = reads("long").await;
    assert!(long.ends_with("\n[cut after 262144 bytes]") && long.len() < 263_000);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.path().join("in/pipe"),
        FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    )
    .unwrap();
    assert_eq!(reads("pipe").await, "!this is no regular file", "and nobody waits for a writer");
}

#[tokio::test]
async fn nothing_is_changed_unless_it_is_allowed() {
    let dir = tree();
    let names: Vec<String> =
        open_in(&dir, FileAccess::Read).tools().iter().map(|tool| tool.tool.clone()).collect();
    assert_eq!(names, ["list_allowed_directories", "list_directory", "read_file", "search_files_content"]);
    let write = json!({"path": "new.txt", "content": "x"});
    let said = check(&dir, FileAccess::Read, "write_file", write.clone()).await;
    assert_eq!(said, "!there is no tool `filesystem__write_file`");
    assert!(!dir.path().join("in/new.txt").exists());
    assert_eq!(check(&dir, FileAccess::Write, "write_file", write).await, "wrote 1 bytes");
    assert_eq!(fs::read_to_string(dir.path().join("in/new.txt")).unwrap(), "x");
}

#[tokio::test]
async fn a_write_takes_the_place_of_a_link_and_leaves_its_target_alone() {
    let dir = tree();
    let write = json!({"path": "link.txt", "content": "mine"});
    assert_eq!(check(&dir, FileAccess::Write, "write_file", write).await, "wrote 4 bytes");
    assert_eq!(fs::read_to_string(dir.path().join("secret.txt")).unwrap(), "two secrets");
    let away = json!({"path": "away/c.txt", "content": "mine"});
    assert!(check(&dir, FileAccess::Write, "write_file", away).await.starts_with('!'));
    assert_eq!(fs::read_to_string(dir.path().join("outside/c.txt")).unwrap(), "two");
    let left: Vec<_> =
        fs::read_dir(dir.path().join("in")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".new")), "{left:?}");
}

#[tokio::test]
async fn an_edit_needs_one_place() {
    let dir = tree();
    let edit = async |old: &str| {
        let arguments = json!({"path": "a.txt", "old_text": old, "new_text": "2"});
        check(&dir, FileAccess::Write, "edit_file", arguments).await
    };
    assert_eq!(edit("three").await, "!`old_text` does not stand in the file");
    assert!(edit("o").await.contains("2 times"));
    assert_eq!(edit("two").await, "changed it in 1 place");
    assert_eq!(fs::read_to_string(dir.path().join("in/a.txt")).unwrap(), "one\n2\n");
}

#[tokio::test]
async fn tools_can_be_left_out() {
    let dir = tree();
    let only = ["read_file".to_owned()];
    let files = Filesystem::new(vec![dir.path().join("in")], FileAccess::Write, Some(&only));
    assert_eq!(files.tools().len(), 1);
    assert!(files.has("filesystem__read_file") && !files.has("filesystem__write_file"));
}
