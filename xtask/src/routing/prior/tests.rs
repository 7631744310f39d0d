use super::*;

#[test]
fn what_was_measured_stays() {
    assert_eq!(check("50 70\n60 80"), "50 70\n60 80");
}

#[test]
fn a_hole_is_read_off_the_line_of_the_others() {
    assert_eq!(check("50 30\n60 40\n80 -"), "50 30\n60 40\n80 60");
}

#[test]
fn a_family_is_reached_over_another() {
    assert_eq!(check("50 60 -\n60 70 -\n- 60 20\n- 70 40"), "50 60 20\n60 70 40\n50 60 20\n60 70 40");
}

#[test]
fn nobody_is_expected_to_be_always_right() {
    assert_eq!(check("50 50\n60 80\n90 -"), "50 50\n60 80\n90 99");
}

#[test]
fn a_line_that_falls_says_nothing() {
    assert_eq!(check("50 80\n60 70\n90 -"), "50 80\n60 70\n90 90");
}

/// A table in hundredths, with `-` for holes.
#[track_caller]
fn check(table: &str) -> String {
    let cell = |text: &str| text.parse::<f64>().ok().map(|hundredths| hundredths / 100.0);
    let table: Vec<Vec<Option<f64>>> =
        table.lines().map(|line| line.split_whitespace().map(cell).collect()).collect();
    let show = |line: &Vec<f64>| {
        line.iter().map(|cell| format!("{:.0}", cell * 100.0)).collect::<Vec<_>>().join(" ")
    };
    fill(&table).iter().map(show).collect::<Vec<_>>().join("\n")
}
