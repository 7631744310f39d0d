use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const HOUR: u64 = 60 * 60 * 1000;

#[test]
fn a_key_is_known_after_a_restart() {
    check(&["begin a 1", "again", "known a 1", "unknown b"], 100);
}

#[test]
fn a_forgotten_key_is_new_after_a_restart_too() {
    check(&["begin a 1", "forget a", "unknown a", "again", "unknown a"], 100);
    check(&["begin a 1", "forget a", "begin a 2", "again", "known a 2"], 100);
}

#[test]
fn a_key_is_known_for_a_day() {
    check(
        &["begin a 1", "hours 23", "again", "known a 1", "hours 1", "unknown a", "again", "unknown a"],
        100,
    );
}

#[test]
fn a_full_file_takes_the_place_of_the_former_one() {
    check(&["begin a 1", "begin b 1", "begin c 1", "known a 1", "again", "known a 1", "known c 1"], 2);
    check(&["begin a 1", "begin b 1", "begin c 1", "begin d 1", "begin e 1", "unknown a", "known c 1"], 2);
    check(&["begin a 1", "begin b 1", "forget a", "again", "unknown a", "known b 1"], 2);
    check(&["begin a 1", "begin b 1", "begin c 1", "begin a 2", "again", "known a 2"], 2);
}

#[test]
fn a_file_of_a_day_ago_takes_the_place_of_the_former_one() {
    let (dir, mut marks) = (TempDir::new().unwrap(), None);
    for day in 0..3 {
        let now = day * 25 * HOUR;
        let marks: &mut Marks = marks.get_or_insert_with(|| Marks::open(dir.path(), now).unwrap());
        marks.begin(id('a'), fingerprint('1'), now).unwrap();
        assert_eq!((marks.present.len(), marks.taken), (1, 1));
    }
    assert_eq!(std::fs::metadata(dir.path().join(FORMER)).unwrap().len(), count(RECORD));
}

#[test]
fn a_clock_that_is_set_back_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let mut marks = Marks::open(dir.path(), 30 * HOUR).unwrap();
    marks.begin(id('a'), fingerprint('1'), 30 * HOUR).unwrap();
    assert_eq!(marks.get(&id('a'), HOUR), Some(fingerprint('1')));
    assert_eq!(Marks::open(dir.path(), HOUR).unwrap().get(&id('a'), HOUR), Some(fingerprint('1')));
}

#[test]
fn the_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    drop(Marks::open(dir.path(), 0).unwrap());
    let mode = std::fs::metadata(dir.path().join(PRESENT)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

proptest! {
    #[test]
    fn a_torn_tail_costs_no_whole_record_and_is_written_over(
        keys in vec((any::<[u8; 16]>(), any::<[u8; 16]>()), 1..20),
        cut in any::<prop::sample::Index>(),
        rest in vec(any::<u8>(), 0..RECORD),
    ) {
        let dir = TempDir::new().unwrap();
        write(dir.path(), &keys);
        let path = dir.path().join(PRESENT);
        let bytes = std::fs::read(&path).unwrap();
        let cut = cut.index(bytes.len() + 1);
        // What stands behind the cut may be anything that a crash left, but no whole record.
        let torn: Vec<u8> = bytes[..cut].iter().copied().chain(rest.iter().copied().take(RECORD - 1 - cut % RECORD)).collect();
        std::fs::write(&path, &torn).unwrap();
        let whole = cut / RECORD;

        let mut marks = Marks::open(dir.path(), 0).unwrap();
        for (key, print) in last_of(&keys[..whole]) {
            prop_assert_eq!(marks.get(&Id(key), 0), Some(Fingerprint(print)));
        }
        prop_assert_eq!(marks.present.len(), last_of(&keys[..whole]).len());
        marks.begin(id('n'), fingerprint('1'), 0).unwrap();
        let again = Marks::open(dir.path(), 0).unwrap();
        prop_assert_eq!(again.get(&id('n'), 0), Some(fingerprint('1')));
        prop_assert_eq!(again.present, marks.present);
    }

    #[test]
    fn a_damaged_file_never_tells_of_a_key_that_was_not_begun(
        keys in vec((any::<[u8; 16]>(), any::<[u8; 16]>()), 1..20),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let dir = TempDir::new().unwrap();
        write(dir.path(), &keys);
        let path = dir.path().join(PRESENT);
        let mut bytes = std::fs::read(&path).unwrap();
        let mut hit = std::collections::BTreeSet::new();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            hit.insert(at / RECORD);
            bytes[at] = byte;
        }
        std::fs::write(&path, &bytes).unwrap();
        let marks = Marks::open(dir.path(), 0).unwrap();
        for (id, mark) in &marks.present {
            prop_assert!(keys.contains(&(id.0, mark.fingerprint.0)));
        }
        let spared: Vec<_> = keys.iter().enumerate().filter(|(at, _)| !hit.contains(at)).collect();
        for (_, (key, _)) in spared {
            prop_assert!(marks.present.contains_key(&Id(*key)));
        }
    }
}

fn write(dir: &Path, keys: &[([u8; 16], [u8; 16])]) {
    let mut marks = Marks::open(dir, 0).unwrap();
    for (key, print) in keys {
        marks.begin(Id(*key), Fingerprint(*print), 0).unwrap();
    }
}

fn last_of(keys: &[([u8; 16], [u8; 16])]) -> HashMap<[u8; 16], [u8; 16]> {
    keys.iter().copied().collect()
}

const fn id(name: char) -> Id {
    Id([name as u8; 16])
}

const fn fingerprint(name: char) -> Fingerprint {
    Fingerprint([name as u8; 16])
}

/// Goes through the steps: `begin KEY BODY`, `forget KEY`, `again` (a restart), `hours N`, `known KEY
/// BODY`, `unknown KEY`.
#[track_caller]
fn check(steps: &[&str], full: u64) {
    let dir = TempDir::new().unwrap();
    let mut now = 0;
    let mut marks = Marks::open_sized(dir.path(), now, full).unwrap();
    for step in steps {
        let words: Vec<&str> = step.split(' ').collect();
        let name = |at: usize| words[at].chars().next().unwrap();
        match words[0] {
            "begin" => marks.begin(id(name(1)), fingerprint(name(2)), now).unwrap(),
            "forget" => marks.forget(id(name(1)), now).unwrap(),
            "again" => marks = Marks::open_sized(dir.path(), now, full).unwrap(),
            "hours" => now += words[1].parse::<u64>().unwrap() * HOUR,
            "known" => assert_eq!(marks.get(&id(name(1)), now), Some(fingerprint(name(2))), "{step}"),
            "unknown" => assert_eq!(marks.get(&id(name(1)), now), None, "{step}"),
            other => panic!("{other}"),
        }
        assert!(marks.taken <= full, "{step}");
    }
}
