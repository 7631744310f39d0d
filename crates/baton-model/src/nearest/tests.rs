use super::nearest;

#[test]
fn the_nearest_name_is_near() {
    let names = ["listen", "limits", "data_dir", "openai/gpt-5-mini"];
    for (given, expected) in [
        ("lisen", Some("listen")),
        ("Listen", Some("listen")),
        ("limit", Some("limits")),
        ("openai", Some("openai/gpt-5-mini")),
        ("datadir", Some("data_dir")),
        ("openai/gpt-5-mni", Some("openai/gpt-5-mini")),
        ("zebra", None),
        ("", None),
    ] {
        assert_eq!(nearest(given, names), expected, "{given}");
    }
}
