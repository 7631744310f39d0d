use super::*;

/// Worth as much as its number, and more than any other if it is in trouble.
#[derive(Debug, Default)]
struct Entry(Mutex<(bool, u64)>);

impl Kept for Entry {
    fn worth(&self) -> (bool, u64) {
        *self.0.lock().unwrap()
    }
}

/// Puts names in, `!` those in trouble, into a registry of three; says what is left.
#[track_caller]
fn check(names: &str, expected: &str) {
    let registry = Registry { most: 3, ..Registry::default() };
    for (at, name) in names.split(' ').enumerate() {
        let (entry, _): (Arc<Entry>, bool) = registry.get_or_insert(&name.to_owned());
        *entry.0.lock().unwrap() = (name.ends_with('!'), u64::try_from(at).unwrap());
    }
    let mut left: Vec<String> = registry.all().into_iter().map(|(name, _)| name).collect();
    left.sort();
    assert_eq!(left.join(" "), expected, "{names}");
}

#[test]
fn a_name_is_kept_once() {
    check("a b a a b", "a b");
}

#[test]
fn where_there_is_no_room_the_one_not_used_for_longest_goes() {
    check("a b c d", "b c d");
    check("a b c a d", "a c d");
}

#[test]
fn one_in_trouble_stays() {
    check("a! b c d", "a! c d");
}

#[test]
fn where_all_are_in_trouble_the_oldest_goes() {
    check("a! b! c! d", "b! c! d");
}

#[test]
fn only_the_first_caller_hears_that_it_is_new() {
    let registry: Registry<String, Entry> = Registry::default();
    assert!(registry.get_or_insert(&"a".to_owned()).1);
    assert!(!registry.get_or_insert(&"a".to_owned()).1);
    assert!(registry.get(&"b".to_owned()).is_none());
}
