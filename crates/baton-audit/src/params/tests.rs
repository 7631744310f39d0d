use super::{BadParameter, Filters, PageParams, Params};
use crate::ListQuery;

/// Reads what a list reads: filters and a page.
fn check(query: &str) -> Result<ListQuery, BadParameter> {
    let mut params = params(query);
    let filters: Filters = params.take()?;
    let page: PageParams = params.take()?;
    params.finish()?;
    let mut query = filters.query()?;
    page.apply(&mut query)?;
    Ok(query)
}

fn params(query: &str) -> Params {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), value.to_owned())
    };
    Params::new(pairs.map(pair))
}

/// The parameter at fault, and what is said of it.
#[track_caller]
fn bad(query: &str) -> (String, String) {
    let error = check(query).unwrap_err();
    (error.name().to_owned(), error.to_string())
}

const DECISION: &str = "dec_019356aa00007000800000000000000a";

#[test]
fn without_parameters_everything_is_asked_for() {
    assert_eq!(check(""), Ok(ListQuery { limit: 20, ..ListQuery::default() }));
}

#[test]
fn an_unknown_filter_is_named_with_the_nearest_one() {
    for (query, name, hint) in [
        ("sesion=x", "sesion", "did you mean `session`?"),
        ("staring_after=x", "staring_after", "did you mean `starting_after`?"),
        ("kind=select&polcy=x", "polcy", "did you mean `policy`?"),
        ("min_cost=1", "min_cost", "did you mean `min_cost_usd`?"),
        ("Limit=1", "Limit", "did you mean `limit`?"),
    ] {
        assert_eq!(
            bad(query),
            (name.to_owned(), format!("there is no parameter `{name}`; {hint}")),
            "{query}"
        );
    }
    let (name, message) = bad("xyzzy=1");
    assert_eq!(name, "xyzzy");
    assert!(message.contains("`start_time`") && message.contains("`limit`"), "{message}");
}

#[test]
fn a_hostile_name_is_cut_and_has_no_control_characters() {
    let (name, message) = bad(&format!("a\r\n\u{0}{}=1", "x".repeat(10_000)));
    assert!(name.len() <= 64 && message.len() < 1_000, "{}", message.len());
    assert!(!message.contains(char::is_control), "{message:?}");
}

#[test]
fn what_stands_twice_is_refused_where_there_can_be_one() {
    assert_eq!(bad("limit=1&limit=1"), ("limit".to_owned(), "`limit` stands twice".to_owned()));
    assert_eq!(bad("session="), ("session".to_owned(), "`session` is empty".to_owned()));
    assert_eq!(bad("kind=select,"), ("kind".to_owned(), "a part of `kind` is empty".to_owned()));
}

#[test]
fn a_list_may_be_repeated_or_have_commas() {
    let wanted = check("kind=retry&kind=stop").unwrap().kinds;
    assert_eq!(wanted.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(), ["retry", "stop"]);
    assert_eq!(check("kind=retry,stop").unwrap().kinds, wanted);
    assert_eq!(check("kind[]=retry&kind[]=stop").unwrap().kinds, wanted);
}

#[test]
fn a_limit_is_from_1_to_100() {
    for limit in ["0", "101", "-1", "many", "4294967297", "1.5", "٣"] {
        assert_eq!(bad(&format!("limit={limit}")).0, "limit", "{limit}");
    }
    assert_eq!(check("limit=100").unwrap().limit, 100);
}

#[test]
fn a_cursor_is_a_decisions_id() {
    for cursor in ["x", "run_019356aa00007000800000000000000a", "dec_", "dec_zz", "page_1"] {
        assert_eq!(bad(&format!("starting_after={cursor}")).0, "starting_after", "{cursor}");
        assert_eq!(bad(&format!("ending_before={cursor}")).0, "ending_before", "{cursor}");
    }
    assert_eq!(bad(&format!("starting_after={DECISION}&ending_before={DECISION}")).0, "starting_after");
}

#[test]
fn times_are_seconds_dates_or_rfc_3339() {
    for (text, at_ms) in [
        ("0", 0),
        ("1763726400", 1_763_726_400_000),
        ("2025-11-21", 1_763_683_200_000),
        ("2025-11-21T12:00:00Z", 1_763_726_400_000),
        ("2025-11-21T13:00:00.5%2B01:00", 1_763_726_400_500),
    ] {
        let text = text.replace("%2B", "+");
        assert_eq!(check(&format!("start_time={text}")).unwrap().from_ms, Some(at_ms), "{text}");
    }
    for text in
        ["yesterday", "1763726400000", "-5", "2025-13-01", "2025-11-21T25:00:00Z", "1969-12-31", "🦀🦀x"]
    {
        assert_eq!(bad(&format!("end_time={text}")).0, "end_time", "{text}");
    }
}

#[test]
fn a_range_upside_down_names_its_end() {
    assert_eq!(bad("start_time=2&end_time=1").0, "end_time");
    assert_eq!(bad("start_time=2&end_time=2").0, "end_time");
    assert_eq!(bad("min_cost_usd=2&max_cost_usd=1").0, "max_cost_usd");
    assert_eq!(bad("min_total_ms=2&max_total_ms=1").0, "max_total_ms");
}

#[test]
fn amounts_are_exact_to_their_last_place() {
    let range = |query: &str| check(query).unwrap();
    assert_eq!(range("min_cost_usd=0.000000001").cost_nano.at_least, Some(1));
    assert_eq!(range("max_cost_usd=12.5").cost_nano.at_most, Some(12_500_000_000));
    assert_eq!(range("min_total_ms=1500").total_us.at_least, Some(1_500_000));
    assert_eq!(range("max_first_content_ms=0.5").first_content_us.at_most, Some(500));
    for amount in
        ["-1", "1e3", "0.0000000001", ".5", "5.", "NaN", "99999999999999999999", "1,5", "9300000000000"]
    {
        assert_eq!(bad(&format!("min_cost_usd={amount}")).0, "min_cost_usd", "{amount}");
    }
}

#[test]
fn words_are_checked_with_the_nearest_one() {
    for (query, hint) in [
        ("kind=selct", "did you mean `select`?"),
        (
            "status=okay",
            "it is one of `ok`, `failed`, `client_cancelled`, `running`, `crashed`, `not_expected`",
        ),
        ("fault=time_out", "did you mean `timeout`?"),
        ("reason_code=only_modle", "did you mean `only_model`?"),
        ("reason_code=zebra_crossing_of_the_year", "the guide has the list"),
    ] {
        let (name, message) = bad(query);
        assert!(query.starts_with(&name) && message.ends_with(hint), "{query}: {message}");
    }
}

#[test]
fn ids_and_policies_have_their_form() {
    for (query, name) in [
        ("run=dec_1", "run"),
        ("principal=bob", "principal"),
        ("principal=dec_019356aa00007000800000000000000a", "principal"),
        ("policy=@1", "policy"),
        ("policy=p@", "policy"),
        ("min_hop=0", "min_hop"),
        ("min_hop=two", "min_hop"),
    ] {
        assert_eq!(bad(query).0, name, "{query}");
    }
    let policy = check("policy=frugal@ab12").unwrap().policy.unwrap();
    assert_eq!((policy.name.as_str(), policy.version.as_deref()), ("frugal", Some("ab12")));
    assert_eq!(check("principal=anonymous").unwrap().principal.as_deref(), Some("anonymous"));
    assert_eq!(bad(&format!("session={}", "x".repeat(513))).0, "session");
}

#[test]
fn every_filter_reaches_the_question() {
    let everything = "start_time=1&end_time=2&kind=stop&reason_code=only_model&policy=p&model=m&requested=r&served=s\
        &from=f&to=t&provider=pr&principal=anonymous&run=run_019356aa00007000800000000000000b&session=se&tag=ta\
        &status=running&fault=timeout&min_hop=2&min_cost_usd=1&max_cost_usd=2&min_total_ms=3&max_total_ms=4\
        &min_first_content_ms=5&max_first_content_ms=6";
    let whole = check(everything).unwrap();
    // Each one away changes the question: none of them is read and then forgotten.
    for left_out in everything.split('&') {
        let others: Vec<&str> = everything.split('&').filter(|pair| *pair != left_out).collect();
        assert_ne!(check(&others.join("&")).unwrap(), whole, "{left_out}");
    }
    // And there is no filter that the text above does not have.
    let mut fields = params(everything);
    let filters: Filters = fields.take().unwrap();
    assert!(fields.pairs.is_empty());
    let said = format!("{filters:?}");
    assert!(!said.contains("None") && !said.contains("[]"), "{said}");
}
