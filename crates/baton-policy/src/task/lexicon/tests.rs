use super::*;

#[test]
fn every_line_of_the_list_is_understood() {
    let entries = SOURCE.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (mut cues, mut odd) = (0, Vec::new());
    for line in entries {
        if line.starts_with('[') {
            let votes = line.split(']').nth(1).map_or(0, |votes| votes.split(',').count());
            let read = line.strip_prefix('[').and_then(cue).map_or(0, |cue| cue.votes.len());
            assert_eq!(read, votes, "{line}");
            cues += 1;
            continue;
        }
        odd.extend(line.split(',').map(str::trim).filter(|entry| !is_entry(entry)));
    }
    assert!(cues <= 64, "a cue is one bit of 64");
    assert_eq!(odd, Vec::<&str>::new());
}

/// One to three words, a star only behind a single one of three letters or more.
fn is_entry(entry: &str) -> bool {
    let mut words = 0;
    crate::task::words::each_word(
        entry.as_bytes(),
        |_| (),
        |_| {
            words += 1;
            true
        },
    );
    match entry.strip_suffix('*') {
        Some(prefix) => words == 1 && prefix.chars().count() >= 3 && !prefix.contains('*'),
        None => (1..=3).contains(&words) && !entry.contains('*'),
    }
}
