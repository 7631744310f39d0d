//! Finds the name that a wrong one was meant to be.

/// A name of the list that the given one may have meant: a few slips away, or cut short.
pub fn nearest<'n>(given: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let given: String = given.chars().take(128).collect::<String>().to_ascii_lowercase();
    let distance = |name: &str| {
        let is_cut = given.len() > 3 && name.starts_with(&given);
        if is_cut { 1 } else { strsim::damerau_levenshtein(&given, &name.to_ascii_lowercase()) }
    };
    names
        .into_iter()
        .map(|name| (distance(name), name))
        .filter(|(distance, name)| *distance * 3 <= name.chars().count().max(given.chars().count()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests;
