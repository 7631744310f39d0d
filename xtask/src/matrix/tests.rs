use super::*;

#[test]
fn a_lower_share_is_refused() {
    assert_eq!(
        check("9 of 10", "8 of 10"),
        "the lossless share fell from 0 % (9 of 10 cells) to 0 % (8 of 10 cells)"
    );
    assert_eq!(
        check("9 of 10", "17 of 20"),
        "the lossless share fell from 0 % (9 of 10 cells) to 0 % (17 of 20 cells)"
    );
}

#[test]
fn the_same_and_a_higher_share_pass() {
    assert_eq!(check("9 of 10", "9 of 10"), "");
    assert_eq!(check("9 of 10", "19 of 20"), "");
}

#[test]
fn a_page_without_a_share_is_refused() {
    assert_eq!(guard(None, "# What\n").unwrap_err().to_string(), "no line begins with `Lossless: `");
}

fn check(kept: &str, found: &str) -> String {
    let page = |share: &str| format!("# What\n\nLossless: 0 % ({share} cells)\n");
    guard(Some(&page(kept)), &page(found)).err().map(|error| error.to_string()).unwrap_or_default()
}
