//! Joins JSON lists that came in pieces.

use baton_model::RawJson;
use serde_json::value::RawValue;

/// The entries of both lists, in order. What is no list adds nothing.
pub(crate) fn joined(so_far: Option<RawJson>, more: &RawJson) -> Option<RawJson> {
    let Some(known) = so_far else { return Some(more.clone()) };
    let entries =
        |list: &RawJson| -> Vec<Box<RawValue>> { serde_json::from_str(list.get()).unwrap_or_default() };
    let mut all = entries(&known);
    all.extend(entries(more));
    RawJson::of(&all).ok()
}

/// Adds members to others: lists of the same name are joined.
pub(crate) fn merge(members: &mut Vec<(String, RawJson)>, more: &[(String, RawJson)]) {
    for (key, value) in more {
        match members.iter_mut().find(|(known, _)| known == key && value.get().starts_with('[')) {
            Some((_, known)) => {
                if let Some(both) = joined(Some(known.clone()), value) {
                    *known = both;
                }
            }
            None => members.push((key.clone(), value.clone())),
        }
    }
}
