//! Which calls of tools wait for a word of their caller's, and what the word was.
//!
//! A word is bound to the hash of one call: of the run, the place in it, the tool and the arguments. It holds for
//! that call once.
//!
//! - **Invariant:** a call that needs a word is not begun without one.

use baton_audit::Hash;
use baton_model::RunId;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Which calls of the gateway's tools need a word of the caller's.
///
/// A call of unknown outcome needs one too, whatever its tool is: it may have been made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approvals {
    /// The tools, as models see them; nothing: all. A name may end in `*`.
    #[serde(default)]
    pub tools: Option<Vec<String>>,
    /// The tools that do no harm twice. A name may end in `*`.
    #[serde(default)]
    pub idempotent: Vec<String>,
}

/// What a caller said of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Whether it may be made.
    pub approved: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A call that its caller is to say a word of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingApproval {
    /// The call's id in the conversation.
    pub tool_call_id: String,
    /// The step that it is made in, of a workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The tool, as models see it.
    pub name: String,
    /// JSON text.
    pub arguments: String,
    /// What the word is bound to.
    pub hash: String,
    /// `required`, or `outcome_unknown`: it may have been made already.
    pub why: String,
}

/// What a call is, as far as a word is bound to it.
pub(crate) struct Bound<'a> {
    pub(crate) run: RunId,
    /// What it is known by in its run.
    pub(crate) mark: &'a str,
    pub(crate) name: &'a str,
    pub(crate) arguments: &'a str,
    /// Whether it may have been made already.
    pub(crate) is_unknown: bool,
}

impl Bound<'_> {
    pub(crate) const fn why(&self) -> &'static str {
        if self.is_unknown { "outcome_unknown" } else { "required" }
    }

    pub(crate) fn hash(&self) -> String {
        let Self { run, mark, name, arguments, .. } = self;
        Hash::of(json!([run, mark, name, arguments, self.why()]).to_string().as_bytes()).to_string()
    }
}

impl Approvals {
    /// Whether calls of this tool need a word.
    #[must_use]
    pub fn covers(&self, tool: &str) -> bool {
        self.tools.as_ref().is_none_or(|tools| named(tools, tool))
    }

    /// Whether a call of this tool may be made again that may have been made already.
    #[must_use]
    pub fn may_repeat(&self, tool: &str) -> bool {
        named(&self.idempotent, tool)
    }
}

fn named(patterns: &[String], tool: &str) -> bool {
    let covers = |pattern: &String| match pattern.strip_suffix('*') {
        Some(start) => tool.starts_with(start),
        None => pattern == tool,
    };
    patterns.iter().any(covers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(tools: Option<&[&str]>, tool: &str, expected: bool) {
        let tools = tools.map(|tools| tools.iter().map(|&tool| tool.to_owned()).collect());
        let approvals = Approvals { tools, idempotent: vec!["a__read*".to_owned()] };
        assert_eq!(approvals.covers(tool), expected, "{tool}");
    }

    #[test]
    fn a_tool_is_named_or_begins_like_that() {
        check(None, "a__pay", true);
        check(Some(&[]), "a__pay", false);
        check(Some(&["a__pay"]), "a__pay", true);
        check(Some(&["a__pay"]), "a__pay_back", false);
        check(Some(&["a__*"]), "a__pay", true);
        check(Some(&["b__*"]), "a__pay", false);
        let approvals = Approvals { tools: None, idempotent: vec!["a__read*".to_owned()] };
        assert!(approvals.may_repeat("a__read_all") && !approvals.may_repeat("a__pay"));
    }

    #[test]
    fn a_word_is_bound_to_everything_that_makes_a_call_this_one() {
        let run = RunId::from_parts(1, [0; 10]);
        let bound =
            |mark, name, arguments, is_unknown| Bound { run, mark, name, arguments, is_unknown }.hash();
        let one = bound("0/1/0/a", "pay", "{\"sum\":1}", false);
        assert_eq!(one, bound("0/1/0/a", "pay", "{\"sum\":1}", false));
        let others = [
            bound("0/2/0/a", "pay", "{\"sum\":1}", false),
            bound("0/1/0/a", "pay_back", "{\"sum\":1}", false),
            bound("0/1/0/a", "pay", "{\"sum\":2}", false),
            bound("0/1/0/a", "pay", "{\"sum\":1}", true),
            Bound {
                run: RunId::from_parts(1, [1; 10]),
                mark: "0/1/0/a",
                name: "pay",
                arguments: "{\"sum\":1}",
                is_unknown: false,
            }
            .hash(),
        ];
        assert!(!others.contains(&one), "{others:?}");
    }
}
