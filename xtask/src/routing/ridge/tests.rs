use super::*;

const BITS: u8 = 8;

#[test]
fn the_right_weights_are_found() {
    let found = learn(&[("good", &[1.0, 0.0]), ("bad", &[0.0, 1.0])], 1e-6);
    assert_close(&found, &[[1.0, 0.0], [0.0, 1.0]]);
}

/// Two texts with one row of norm 1.5 each, all but the words in common: by hand.
#[test]
fn shrinking_pulls_to_nothing() {
    let free = learn(&[("good", &[1.0, 1.0])], 1e-9);
    let held = learn(&[("good", &[1.0, 1.0])], 1.5);
    assert_close(&free, &[[1.0, 1.0]]);
    assert_close(&held, &[[0.5, 0.5]]);
}

#[test]
fn a_hole_teaches_nothing() {
    let with_hole = learn(&[("good", &[1.0, 0.5]), ("bad", &[f64::NAN, f64::NAN])], 1e-6);
    assert_close(&with_hole[..1], &[[1.0, 0.5]]);
}

#[test]
fn the_same_input_gives_the_same_bits() {
    let rows: &[(&str, &[f64])] = &[("a b c", &[0.1, 0.9]), ("c d e", &[0.7, 0.2]), ("e f a", &[0.3, 0.3])];
    assert_eq!(weights(rows, 0.1).cells, weights(rows, 0.1).cells);
}

#[test]
fn the_shrinkage_with_the_least_error_is_chosen_for_each_part() {
    let chosen = least(&[1.0, 10.0, 100.0], &vec![(3.0, 9.0), (2.0, 8.0), (4.0, 7.0)]);
    assert_eq!(chosen, Shrink { shared: 10.0, own: 100.0 });
}

fn texts(rows: &[(&str, &[f64])]) -> Design {
    let texts: Vec<TextFeatures> = rows.iter().map(|(text, _)| TextFeatures::of(text, BITS)).collect();
    Design::of(&texts, BITS)
}

fn weights(rows: &[(&str, &[f64])], shrink: f64) -> Matrix {
    let cells = || rows.iter().flat_map(|(_, values)| values.iter().copied());
    let values = cells().map(|value| if value.is_nan() { 0.0 } else { value }).collect();
    let known = cells().map(|value| if value.is_nan() { 0.0 } else { 1.0 }).collect();
    let targets =
        Targets { values: Matrix { width: 2, cells: values }, known: Matrix { width: 2, cells: known } };
    texts(rows).learn(&targets, Shrink { shared: shrink, own: shrink })
}

/// What the learned weights say of the same texts.
fn learn(rows: &[(&str, &[f64])], shrink: f64) -> Vec<Vec<f64>> {
    texts(rows).predict(&weights(rows, shrink)).lines().map(<[f64]>::to_vec).collect()
}

#[track_caller]
fn assert_close(found: &[Vec<f64>], right: &[[f64; 2]]) {
    for (found, right) in found.iter().flatten().zip(right.iter().flatten()) {
        assert!((found - right).abs() < 1e-3, "{found} is not {right}");
    }
}
