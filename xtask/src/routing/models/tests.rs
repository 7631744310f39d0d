use std::collections::BTreeSet;

use super::*;

#[test]
fn a_name_is_taken_once() {
    let names: Vec<&str> =
        MODELS.iter().flat_map(|model| model.aliases.iter().copied().chain([model.name])).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

#[test]
fn every_price_names_its_source() {
    for price in MODELS.iter().filter_map(|model| model.price) {
        assert!(!price.row.is_empty() && price.input > 0.0 && price.output > 0.0);
    }
}

#[test]
fn names_of_the_data_are_ours() {
    assert_eq!(named("Meta-Llama-3.1-70B-Instruct"), ("llama-3.1-70b-instruct".to_owned(), 3));
    assert_eq!(named("gpt-3.5-turbo-0125-FC"), ("gpt-3.5-turbo-0125".to_owned(), 0));
    assert_eq!(named("mistral-large-2407-FC-Auto"), ("mistral-large-2407".to_owned(), 0));
    assert_eq!(named("somebody-7b"), ("somebody-7b".to_owned(), 1));
}
