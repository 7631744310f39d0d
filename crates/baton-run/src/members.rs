//! Who may have the conversation, and the hidden tools that hand it over.

use std::sync::LazyLock;

use baton_model::{RawJson, Tool};
use serde_json::json;

use crate::words::{TRANSFER, WHY};

/// The longest name that every vendor takes for a tool.
const LONGEST_NAME: usize = 64;

/// A member of a pool, as it is introduced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// The model as it was named.
    pub name: String,
    /// What it is and what it is good at.
    pub description: String,
    /// What it is told when it is handed the conversation.
    pub instructions: Option<String>,
}

/// The members of a pool in its order, and the names of their transfer tools.
#[derive(Clone, Debug, Default)]
pub struct Members {
    members: Vec<Member>,
    tools: Vec<String>,
    offered: bool,
    package: bool,
}

impl Members {
    /// Gives each member a tool whose name none of `taken` has. `offered` says whether models may
    /// hand over at all, `package` whether a transfer carries more than its reason.
    #[must_use]
    pub fn new(members: Vec<Member>, taken: &[String], offered: bool, package: bool) -> Self {
        let mut tools: Vec<String> = Vec::with_capacity(members.len());
        for member in &members {
            let name = free_name(&slug(&member.name), |name| tools.iter().chain(taken).any(|it| it == name));
            tools.push(name);
        }
        let offered = offered && members.len() > 1;
        Self { members, tools, offered, package }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether models may hand over.
    #[must_use]
    pub const fn offered(&self) -> bool {
        self.offered
    }

    /// The model's name as it was given.
    #[must_use]
    pub fn name(&self, member: usize) -> &str {
        self.members.get(member).map_or("", |member| member.name.as_str())
    }

    /// Where the member of this name stands.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| member.name == name)
    }

    /// The name of the tool that hands over to it.
    #[must_use]
    pub fn tool_name(&self, member: usize) -> &str {
        self.tools.get(member).map_or("", String::as_str)
    }

    pub(crate) fn instructions(&self, member: usize) -> Option<&str> {
        self.members.get(member)?.instructions.as_deref()
    }

    pub(crate) fn by_tool(&self, name: &str) -> Option<usize> {
        self.offered.then(|| self.tools.iter().position(|tool| tool == name)).flatten()
    }

    /// Everybody but this one, in the pool's order.
    pub fn others(&self, active: usize) -> impl Iterator<Item = usize> {
        (0..self.members.len()).filter(move |at| *at != active)
    }

    /// The tools that this member gets beside the client's.
    #[must_use]
    pub fn tools(&self, active: usize) -> Vec<Tool> {
        if !self.offered {
            return Vec::new();
        }
        self.others(active).map(|at| self.tool(at)).collect()
    }

    fn tool(&self, to: usize) -> Tool {
        let member = self.members.get(to);
        let (name, about) =
            member.map_or(("", ""), |member| (member.name.as_str(), member.description.as_str()));
        let about = if about.is_empty() { String::new() } else { format!(" {about}") };
        Tool::Function {
            name: self.tool_name(to).to_owned(),
            description: Some(format!(
                "Hand the conversation over to {name}, which then answers in your place.{about}"
            )),
            parameters: schema(self.package),
            strict: None,
            cache: None,
        }
    }
}

/// The arguments of a transfer: written once, for they are part of every prompt.
fn schema(package: bool) -> Option<RawJson> {
    static REASON: LazyLock<Option<RawJson>> = LazyLock::new(|| RawJson::of(&written(false)).ok());
    static PACKAGE: LazyLock<Option<RawJson>> = LazyLock::new(|| RawJson::of(&written(true)).ok());
    if package { PACKAGE.clone() } else { REASON.clone() }
}

fn written(package: bool) -> serde_json::Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    let reason = text(WHY);
    let properties = if package {
        json!({
            "reason": reason,
            "task": text("What is to be done."),
            "context": text("What it has to know for that."),
            "instructions": text("How to do it."),
            "expected_output": text("The form that the result should have."),
            "criteria": {
                "type": "array",
                "items": {"type": "string"},
                "description": "What the result has to satisfy.",
            },
        })
    } else {
        json!({ "reason": reason })
    };
    json!({
        "type": "object",
        "properties": properties,
        "required": ["reason"],
        "additionalProperties": false,
    })
}

/// The name, with a number behind it where it is taken.
pub(crate) fn free_name(base: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut name = base.to_owned();
    let mut number = 1;
    while is_taken(&name) {
        number += 1;
        let suffix = format!("_{number}");
        let room = base.get(..base.len().min(LONGEST_NAME - suffix.len())).unwrap_or(base);
        name = format!("{room}{suffix}");
    }
    name
}

/// `openai/gpt-4o-mini` becomes `transfer_to_gpt_4o_mini`.
pub(crate) fn slug(name: &str) -> String {
    let model = name.rsplit('/').next().filter(|model| !model.is_empty()).unwrap_or(name);
    let mut slug = String::from(TRANSFER);
    for letter in model.chars() {
        let letter = if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' };
        if slug.len() < LONGEST_NAME {
            slug.push(letter);
        }
    }
    slug
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(names: &[&str], taken: &[&str]) -> Members {
        let members =
            names.iter().map(|name| Member { name: (*name).to_owned(), ..Member::default() }).collect();
        let taken: Vec<String> = taken.iter().map(|name| (*name).to_owned()).collect();
        Members::new(members, &taken, true, false)
    }

    #[test]
    fn tools_are_called_after_their_models() {
        let check = |names: &[&str], taken: &[&str], expected: &[&str]| {
            let members = members(names, taken);
            let tools: Vec<&str> = (0..members.len()).map(|at| members.tool_name(at)).collect();
            assert_eq!(tools, expected);
        };
        check(&["openai/gpt-4o-mini"], &[], &["transfer_to_gpt_4o_mini"]);
        check(&["a/x.y", "b/x-y"], &[], &["transfer_to_x_y", "transfer_to_x_y_2"]);
        check(&["a/x"], &["transfer_to_x"], &["transfer_to_x_2"]);
        check(
            &["a/x", "b/x", "c/x"],
            &["transfer_to_x_2"],
            &["transfer_to_x", "transfer_to_x_3", "transfer_to_x_4"],
        );
        let long = "m".repeat(100);
        check(&[&long], &[], &[&format!("transfer_to_{}", "m".repeat(52))]);
        check(&["a/Ünï"], &[], &["transfer_to__n_"]);
    }

    #[test]
    fn everybody_else_is_offered_in_the_pools_order() {
        let members = members(&["a/x", "b/y", "c/z"], &[]);
        let names = |active| -> Vec<String> {
            let tools = members.tools(active);
            tools
                .into_iter()
                .map(|tool| match tool {
                    Tool::Function { name, .. } | Tool::Vendor { name, .. } => name,
                })
                .collect()
        };
        assert_eq!(names(1), ["transfer_to_x", "transfer_to_z"]);
        assert_eq!(names(0), ["transfer_to_y", "transfer_to_z"]);
    }

    #[test]
    fn one_alone_is_offered_nobody() {
        assert!(members(&["a/x"], &[]).tools(0).is_empty());
        assert!(!members(&["a/x"], &[]).offered());
    }
}
