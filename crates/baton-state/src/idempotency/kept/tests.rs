use http::{HeaderMap, HeaderValue, StatusCode};

use super::*;

#[test]
fn an_answer_comes_back_as_it_was() {
    let mut kept = Bench::default();
    let mut headers = HeaderMap::new();
    headers.insert("x-baton-model", HeaderValue::from_static("a/b"));
    let answer = Answer::new(StatusCode::CREATED, headers, Bytes::from_static(b"whole"));
    kept.put(id(1), &answer, 0);
    assert_eq!(kept.get(&id(1), KEEP_MS - 1), Some(answer.clone()));
    assert_eq!(kept.get(&id(1), KEEP_MS - 1), Some(answer), "and again");
    assert_eq!(kept.get(&id(2), 0), None);
}

#[test]
fn after_ten_minutes_it_is_gone() {
    let mut kept = Bench::default();
    kept.put(id(1), &text(3), 0);
    assert_eq!(kept.get(&id(1), KEEP_MS), None);
    assert_eq!((kept.kept.bytes, kept.kept.answers.len(), kept.kept.order.len()), (0, 0, 0));
}

#[test]
fn others_that_are_too_old_go_with_whatever_comes() {
    let mut kept = Bench::default();
    (0..5).for_each(|n| kept.put(id(n), &text(3), 0));
    kept.put(id(9), &text(3), KEEP_MS);
    assert_eq!(kept.kept.answers.len(), 1);
}

#[test]
fn a_large_answer_is_not_kept() {
    let mut kept = Bench::default();
    kept.put(id(1), &text(LARGEST), 0);
    kept.put(id(2), &text(LARGEST + 1), 0);
    assert!(kept.get(&id(1), 0).is_some());
    assert!(kept.get(&id(2), 0).is_none());
}

#[test]
fn the_one_not_asked_for_longest_makes_room() {
    let mut kept = Bench::default();
    let fit = u8::try_from(MOST / (LARGEST + EXTRA)).unwrap();
    (0..fit).for_each(|n| kept.put(id(n), &text(LARGEST), 0));
    assert!(kept.get(&id(0), 0).is_some());
    kept.put(id(200), &text(LARGEST), 0);
    assert!(kept.kept.bytes <= MOST);
    assert!(kept.get(&id(0), 0).is_some(), "asked for just now");
    assert!(kept.get(&id(1), 0).is_none());
    assert!(kept.get(&id(2), 0).is_some());
    assert_eq!(kept.kept.answers.len(), usize::from(fit));
}

#[test]
fn what_is_kept_cannot_be_read_in_memory_or_under_another_key() {
    let mut kept = Bench::default();
    kept.put(id(1), &Answer::new(StatusCode::OK, HeaderMap::new(), Bytes::from_static(b"a secret")), 0);
    let sealed = kept.kept.get(&id(1), 0).unwrap();
    assert!(!sealed.body.windows(6).any(|window| window == b"secret"));
    assert!(kept.sealer.open(&id(1), &sealed).is_some());
    assert_eq!(kept.sealer.open(&id(2), &sealed), None);
    assert_eq!(Sealer::default().open(&id(1), &sealed), None);
}

#[derive(Default)]
struct Bench {
    sealer: Sealer,
    kept: Kept,
}

impl Bench {
    fn put(&mut self, id: Id, answer: &Answer, now: u64) {
        if let Some(sealed) = self.sealer.seal(&id, answer) {
            self.kept.put(id, sealed, now);
        }
    }

    fn get(&mut self, id: &Id, now: u64) -> Option<Answer> {
        let sealed = self.kept.get(id, now)?;
        self.sealer.open(id, &sealed)
    }
}

const fn id(number: u8) -> Id {
    Id([number; 16])
}

fn text(length: usize) -> Answer {
    Answer::new(StatusCode::OK, HeaderMap::new(), Bytes::from(vec![b'x'; length]))
}
