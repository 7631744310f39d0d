use super::*;

#[test]
fn a_model_that_is_cheap_and_best_fills_the_whole_width() {
    assert_eq!(check("1=.8 10=.7"), "0.800");
}

/// From 1 to 10 the straight line .5 to .9: .4 * (9 / ln 10 - 1) / 9 + .5.
#[test]
fn the_curve_is_straight_over_cost_and_measured_over_its_logarithm() {
    assert_eq!(check("1=.5 10=.9"), "0.629");
}

#[test]
fn a_point_below_the_line_changes_nothing() {
    assert_eq!(check("1=.5 5=.6 10=.9"), "0.629");
}

/// .1 * ln 2 + .4 up to a cost of 2, then .9 * ln 5, all over ln 10.
#[test]
fn a_point_above_the_line_lifts_it() {
    assert_eq!(check("1=.5 2=.9 10=.9"), "0.833");
}

#[test]
fn what_is_cheaper_than_the_cheapest_model_counts_as_it() {
    assert_eq!(check("1=.5 10=.5 .1=.9"), "0.900");
}

#[test]
fn what_is_dearer_than_the_dearest_model_is_not_seen() {
    assert_eq!(check("1=.5 10=.5 11=.9"), "0.500");
}

#[test]
fn equal_costs_have_no_area() {
    assert_eq!(check("1=.5 1=.9"), "none");
    assert_eq!(check("0=.5 0=.9"), "none");
}

/// Points as `cost=quality`; the first is the anchor, the second the dearest.
#[track_caller]
fn check(points: &str) -> String {
    let point = |text: &str| {
        let (cost, quality) = text.split_once('=').unwrap();
        Point { cost: cost.parse().unwrap(), quality: quality.parse().unwrap() }
    };
    let points: Vec<Point> = points.split(' ').map(point).collect();
    let dearest =
        points.iter().map(|point| point.cost).take(3).filter(|cost| *cost <= 10.0).fold(0.0, f64::max);
    area(&points, points[0], dearest).map_or("none".to_owned(), |area| format!("{area:.3}"))
}
