use super::*;

#[test]
fn decisions_of_one_millisecond_come_in_the_order_of_writing() {
    let run = RunId::from_parts(1_000, [0; 10]);
    let id = |last: u8| DecisionId::from_parts(1_000, [last; 10]);
    let mut index = Index::with_limit(10);
    for (offset, last) in [(1, 9), (2, 1), (3, 5)] {
        let kind = Kind::Decision { id: id(last), run, attempt: true };
        index.note(Place { segment: 1, offset }, 1_000, kind);
    }
    assert_eq!(index.of_run(run), [id(9), id(1), id(5)]);
}
