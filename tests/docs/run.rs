//! Runs what the documents tell a reader to run.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Output;

use super::blocks::{Block, Document, documents, root, says};
use super::server::{Home, Server};

/// What the documents say where the server is.
const WRITTEN: [&str; 2] = ["127.0.0.1:8080", "localhost:8080"];

/// Stands between the outputs of two blocks.
const SEAM: &str = "==== end of block at line ";

#[test]
fn every_command_does_what_it_says() {
    let mut wrong = String::new();
    for document in documents() {
        let blocks: Vec<&Block> = document
            .blocks
            .iter()
            .filter(|block| block.language() == "sh" && !block.is_marked("no-run"))
            .collect();
        if !blocks.is_empty() {
            commands(&document, &blocks, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// One shell for all blocks of a document, so that a variable of one is there in the next.
fn commands(document: &Document, blocks: &[&Block], wrong: &mut String) {
    let server = Server::start();
    let mut script = "set -eu\nexec 2>&1\n".to_owned();
    for block in blocks {
        writeln!(script, "{}\nprintf '\\n{SEAM}{}\\n'", at(&block.text, &server.address), block.line)
            .expect("text");
    }
    let mut shell = server.home.command("sh");
    shell.arg("-c").arg(&script).env("BATON_LISTEN", &server.address);
    let output = shell.output().expect("a shell");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut rest = said.as_str();
    for block in blocks {
        let seam = format!("\n{SEAM}{}\n", block.line);
        let Some((own, after)) = rest.split_once(&seam) else {
            complain(wrong, document, block, "the command failed", rest);
            return;
        };
        judge(wrong, document, block, own, &server.address);
        rest = after;
    }
}

#[test]
fn every_configuration_is_good_or_wrong_as_it_says() {
    let mut wrong = String::new();
    let home = Home::new();
    for folder in ["secrets", "etc"] {
        std::fs::create_dir(home.path().join(folder)).expect("a folder");
    }
    std::fs::write(home.path().join("secrets/openai"), "sk-of-the-documentation\n").expect("a file");
    std::fs::copy(root().join("tests/docs/ca.pem"), home.path().join("etc/ca.pem")).expect("a file");
    let place = home.path().display();
    for document in documents() {
        for block in document.blocks.iter().filter(|block| block.language() == "yaml") {
            if block.is_marked("no-run") {
                continue;
            }
            let text = block.text.replace("/run/secrets/", &format!("{place}/secrets/"));
            let text = text.replace("/etc/baton/", &format!("{place}/etc/"));
            std::fs::write(home.path().join("baton.yaml"), text).expect("a file");
            let output = home.furnished("baton").args(["check", "baton.yaml"]).output().expect("the program");
            let said = both(&output);
            if output.status.success() == block.is_marked("wrong") {
                complain(&mut wrong, &document, block, "the check says otherwise", &said);
            }
            judge(&mut wrong, &document, block, &said, WRITTEN[0]);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_configuration_for_kubernetes_is_good() {
    let manifest = std::fs::read_to_string(root().join("deploy/configmap.yaml")).expect("the manifest");
    let (_, file) = manifest.split_once("  baton.yaml: |\n").expect("the file in it");
    let file: String =
        file.lines().map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line))).collect();
    let home = Home::new();
    std::fs::write(home.path().join("baton.yaml"), &file).expect("a file");
    let output = home.furnished("baton").args(["check", "baton.yaml"]).output().expect("the program");
    assert!(output.status.success(), "{}\n{file}", both(&output));
}

#[test]
fn every_python_snippet_runs() {
    let mut wrong = String::new();
    let mut found = 0;
    let mut server = None;
    for document in documents() {
        for block in document.blocks.iter().filter(|block| block.language() == "python") {
            if block.is_marked("no-run") {
                continue;
            }
            found += 1;
            let Some(python) = python() else { continue };
            let server = server.get_or_insert_with(Server::start);
            let file = server.home.path().join("snippet.py");
            std::fs::write(&file, at(&block.text, &server.address)).expect("a file");
            let output =
                server.home.command(python.to_str().expect("a path")).arg(&file).output().expect("Python");
            let said = both(&output);
            if output.status.success() {
                judge(&mut wrong, &document, block, &said, &server.address);
            } else {
                complain(&mut wrong, &document, block, "the snippet failed", &said);
            }
        }
    }
    assert!(found > 0, "no snippet was found");
    if server.is_none() {
        println!(
            "SKIPPED: {found} Python snippets, as there is no interpreter with the SDKs; `cargo xtask sdk` brings one"
        );
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The interpreter that `cargo xtask` installs the SDKs for.
fn python() -> Option<PathBuf> {
    let given = std::env::var_os("BATON_DOCS_PYTHON").map(PathBuf::from);
    let usual = || {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_baton"));
        let target = program.parent()?.parent()?;
        Some(target.join("tools/python-b/bin/python"))
    };
    given.or_else(usual).filter(|path| path.exists())
}

#[test]
fn what_cannot_run_is_marked_and_counted() {
    const KNOWN: [&str; 8] = ["sh", "yaml", "python", "javascript", "json", "text", "nginx", "cel"];
    for document in documents() {
        let mut left_out = 0;
        for block in &document.blocks {
            let language = block.language();
            assert!(KNOWN.contains(&language), "{}:{}: `{language}`", document.name(), block.line);
            let runs = matches!(language, "sh" | "yaml" | "python");
            assert!(
                runs || block.is_marked("no-run"),
                "{}:{} is not run, and not marked",
                document.name(),
                block.line
            );
            left_out += usize::from(block.is_marked("no-run"));
        }
        println!("{}: {} of {} blocks are not run", document.name(), left_out, document.blocks.len());
    }
}

fn at(text: &str, address: &str) -> String {
    WRITTEN.into_iter().fold(text.to_owned(), |text, written| text.replace(written, address))
}

fn both(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn judge(wrong: &mut String, document: &Document, block: &Block, said: &str, address: &str) {
    for line in &block.expected {
        if !says(said, &at(line, address)) {
            complain(wrong, document, block, &format!("nothing like `{line}`"), said);
        }
    }
}

fn complain(wrong: &mut String, document: &Document, block: &Block, what: &str, said: &str) {
    let text = block.text.trim_end();
    writeln!(wrong, "{}:{}: {what}\n{text}\n---- said:\n{said}\n", document.name(), block.line)
        .expect("text");
}

#[test]
fn the_page_of_documents_names_no_other_host() {
    let server = Server::start();
    let mut curl = server.home.command("curl");
    curl.args(["-sS", "--fail"]);
    for file in ["", "swagger-initializer.js", "index.css"] {
        curl.arg(format!("http://{}/docs/{file}", server.address));
    }
    let said = both(&curl.output().expect("curl"));
    assert!(said.contains("\"/openapi.json\""), "{said}");
    assert!(said.contains("\"validatorUrl\": \"none\""), "{said}");
    let links: Vec<&str> = said.lines().filter(|line| line.contains("://")).collect();
    assert!(links.is_empty(), "{links:?}");
}
