//! Finds the fenced blocks of a document.

use std::path::{Path, PathBuf};

/// A fenced block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// What stands behind the fence: the language, then marks.
    pub(crate) info: String,
    /// The line of its fence.
    pub(crate) line: usize,
    pub(crate) text: String,
    /// The lines that its output must have.
    pub(crate) expected: Vec<String>,
}

impl Block {
    pub(crate) fn language(&self) -> &str {
        self.info.split_whitespace().next().unwrap_or_default()
    }

    pub(crate) fn is_marked(&self, mark: &str) -> bool {
        self.info.split_whitespace().skip(1).any(|word| word == mark)
    }
}

/// A document with its blocks.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) blocks: Vec<Block>,
}

impl Document {
    pub(crate) fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).expect("a name")
    }

    /// The part between `<!-- NAME -->` and `<!-- /NAME -->`.
    pub(crate) fn part(&self, name: &str) -> &str {
        let missing = || panic!("{} has no part `{name}`", self.name());
        let (_, rest) = self.text.split_once(&format!("<!-- {name} -->\n")).unwrap_or_else(missing);
        rest.split_once(&format!("<!-- /{name} -->")).unwrap_or_else(missing).0
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the project's folder")
}

/// The README, the other documents at the root, and every guide.
pub(crate) fn documents() -> Vec<Document> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(root().join("docs"))
        .expect("the folder of the guides")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    paths.sort();
    paths.insert(0, root().join("README.md"));
    paths.push(root().join("SECURITY.md"));
    paths.into_iter().map(read).collect()
}

pub(crate) fn guide(name: &str) -> Document {
    read(root().join("docs").join(name))
}

fn read(path: PathBuf) -> Document {
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let blocks = blocks(&text);
    Document { path, text, blocks }
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                open = Some(Block {
                    info: info.to_owned(),
                    line: number + 1,
                    text: String::new(),
                    expected: Vec::new(),
                });
            }
            (Some(_), Some(_)) => {
                let block = open.take().expect("an open block");
                match blocks.last_mut().filter(|_| block.language() == "text") {
                    Some(before) => before.expected.extend(expected(&block.text)),
                    None => blocks.push(block),
                }
            }
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

fn expected(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(ToOwned::to_owned)
}

/// Whether a line of the output has all parts of an expected one, in order.
pub(crate) fn says(output: &str, expected: &str) -> bool {
    output.lines().any(|line| {
        let mut rest = line;
        expected.split('…').all(|part| match rest.split_once(part) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    })
}

#[test]
fn a_block_takes_the_text_behind_it_as_its_output() {
    let found = blocks("a\n```sh no-run\nx\n```\n\n```text\n one … two\n```\n```yaml\ny: 1\n```\n");
    let shown: Vec<String> =
        found.iter().map(|block| format!("{} {:?} {:?}", block.info, block.text, block.expected)).collect();
    assert_eq!(shown, [r#"sh no-run "x\n" ["one … two"]"#, r#"yaml "y: 1\n" []"#]);
    assert!(found[0].is_marked("no-run") && !found[1].is_marked("no-run"));
}

#[test]
fn what_is_left_out_may_be_anything() {
    assert!(says("x\nserved by echo/hello today\n", "served…hello"));
    assert!(!says("served\nhello\n", "served…hello"));
    assert!(!says("hello served", "served…hello"));
}
