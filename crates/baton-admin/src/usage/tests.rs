use baton_audit::{
    BadParameter, BucketWidth, Dimension, Params, RangeParams, UsageBucket, UsageGroup, UsagePage, UsageSums,
};

use super::params::{Asked, UsageParams};
use super::{Group, UsageBody};

/// 2026-11-21T12:00:30Z.
const NOW_MS: u64 = 1_795_262_430_000;
const DAY_MS: u64 = 86_400_000;

fn check(query: &str) -> Result<Asked, BadParameter> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut params = Params::new(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let (range, usage): (RangeParams, UsageParams) = (params.take()?, params.take()?);
    params.finish()?;
    usage.asked(&range, NOW_MS)
}

/// The parameter at fault, and what is said of it.
#[track_caller]
fn bad(query: &str) -> (String, String) {
    let error = check(query).unwrap_err();
    (error.name().to_owned(), error.to_string())
}

#[test]
fn without_parameters_the_last_days_are_added_up_and_today() {
    let query = check("").unwrap().query;
    assert_eq!((query.width, query.limit), (BucketWidth::Day, 7));
    let today_ms = BucketWidth::Day.start_of(NOW_MS);
    assert_eq!((query.from_ms, query.to_ms), (today_ms - 6 * DAY_MS, NOW_MS + 1));
    assert!(query.group_by.is_empty() && query.only.is_empty());
    // An end at midnight has the day before it for the last.
    let query = check("end_time=2026-11-21").unwrap().query;
    assert_eq!((query.from_ms, query.to_ms), (today_ms - 7 * DAY_MS, today_ms));
}

#[test]
fn each_dimension_can_be_grouped_by_and_narrowed_to() {
    let names = [
        ("principal", Dimension::Principal),
        ("provider", Dimension::Provider),
        ("model", Dimension::Model),
        ("target", Dimension::Target),
        ("policy", Dimension::Policy),
        ("policy_version", Dimension::PolicyVersion),
        ("rule", Dimension::Rule),
        ("reason_code", Dimension::ReasonCode),
        ("kind", Dimension::Kind),
        ("status", Dimension::Status),
    ];
    assert_eq!(names.map(|(_, dimension)| dimension), Dimension::ALL);
    for (name, dimension) in names {
        assert_eq!(check(&format!("group_by[]={name}")).unwrap().query.group_by, [dimension]);
        let value = match name {
            "reason_code" => "only_model",
            "kind" => "select",
            "status" => "open",
            _ => "x",
        };
        let only = check(&format!("{name}={value}")).unwrap().query.only;
        assert_eq!(only, [(dimension, value.to_owned())]);
        let mut group = Group::default();
        *group.member(dimension) = Some("here".to_owned());
        assert_eq!(serde_json::to_value(&group).unwrap()[name], "here");
    }
}

#[test]
fn a_group_of_too_many_values_is_refused_by_name() {
    for name in ["session", "user", "tag", "run", "request", "id"] {
        let (param, message) = bad(&format!("group_by={name}"));
        assert_eq!(param, "group_by");
        assert!(message.contains(name) && message.contains("too many values"), "{message}");
    }
    for (name, hint) in [("modl", "did you mean `model`?"), ("zebra", "there are `principal`, `provider`")] {
        let (param, message) = bad(&format!("group_by={name}"));
        assert!(param == "group_by" && message.contains(hint), "{message}");
    }
    assert_eq!(bad("group_by=model,model").1, "`group_by` has `model` twice");
    assert_eq!(bad("group_by=model,kind,status,rule,target").0, "group_by");
}

#[test]
fn short_buckets_reach_over_short_times_only() {
    let ten_years = "start_time=2016-11-21&end_time=2026-11-21";
    for width in ["1m", "1h"] {
        let (param, message) = bad(&format!("{ten_years}&bucket_width={width}"));
        assert_eq!(param, "bucket_width");
        assert!(message.contains("3652 are asked for"), "{message}");
    }
    assert!(check(&format!("{ten_years}&bucket_width=1d")).is_ok());
    assert!(check("start_time=2026-11-14&end_time=2026-11-21&bucket_width=1m").is_ok());
    assert_eq!(bad("start_time=2026-11-13&end_time=2026-11-21&bucket_width=1m").0, "bucket_width");
    assert_eq!(bad("bucket_width=2h").0, "bucket_width");
    assert_eq!(bad("start_time=2026-11-21&end_time=2026-11-20").0, "end_time");
}

#[test]
fn a_limit_goes_with_its_width() {
    for (width, most) in [("1m", 1_440), ("1h", 168), ("1d", 31)] {
        assert!(check(&format!("bucket_width={width}&limit={most}")).is_ok());
        for limit in [0, most + 1] {
            assert_eq!(bad(&format!("bucket_width={width}&limit={limit}")).0, "limit");
        }
    }
}

#[test]
fn a_page_is_taken_back_for_its_own_question_only() {
    let question = "start_time=2026-11-01&end_time=2026-11-21&group_by=model";
    let asked = check(question).unwrap();
    let token = asked.place.token(asked.query.from_ms + 7 * DAY_MS);
    let next = check(&format!("{question}&limit=31&page={token}")).unwrap();
    assert_eq!(next.query.from_ms, asked.query.from_ms + 7 * DAY_MS);
    for other in [
        "start_time=2026-11-02&end_time=2026-11-21&group_by=model",
        "start_time=2026-11-01&end_time=2026-11-21&group_by=target",
        "start_time=2026-11-01&end_time=2026-11-21&group_by=model&provider=x",
        "start_time=2026-11-01&end_time=2026-11-21&group_by=model&bucket_width=1h",
    ] {
        let (param, message) = bad(&format!("{other}&page={token}"));
        assert!(param == "page" && message.contains("another question"), "{other}: {message}");
    }
    for token in ["x", "page_", "page_1", "page__", "page_zz_00", "dec_019356aa00007000800000000000000a"] {
        assert_eq!(bad(&format!("{question}&page={token}")).0, "page", "{token}");
    }
    let behind = asked.place.token(asked.query.to_ms);
    assert_eq!(bad(&format!("{question}&page={behind}")).0, "page");
}

#[test]
fn empty_buckets_are_there_and_pages_join() {
    let mut asked = check("start_time=2026-11-01&end_time=2026-11-04T01:00:00Z&group_by=model").unwrap();
    let first_ms = asked.query.from_ms;
    let group = UsageGroup { by: vec![None], sums: UsageSums { decisions: 3, ..UsageSums::default() } };
    let bucket = UsageBucket { start_ms: first_ms + DAY_MS, groups: vec![group] };
    let page = UsagePage { buckets: vec![bucket], next_ms: Some(first_ms + 2 * DAY_MS) };
    let body = UsageBody::of(page, &asked);
    let starts =
        |body: &UsageBody| body.data.iter().map(|bucket| bucket.start_time * 1_000).collect::<Vec<_>>();
    assert_eq!(starts(&body), [first_ms, first_ms + DAY_MS]);
    assert_eq!(body.data.iter().map(|bucket| bucket.results.len()).collect::<Vec<_>>(), [0, 1]);
    assert!(body.has_more && body.next_page.is_some());
    // The last bucket is whole although the question ends in it.
    asked.query.from_ms = first_ms + 2 * DAY_MS;
    let body = UsageBody::of(UsagePage::default(), &asked);
    assert_eq!(starts(&body), [first_ms + 2 * DAY_MS, first_ms + 3 * DAY_MS]);
    assert!(!body.has_more && body.next_page.is_none());
}

#[test]
fn the_shape_is_the_same_whatever_is_asked() {
    let members = |group: &Group| {
        serde_json::to_value(group).unwrap().as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    let grouped = Group::of(
        UsageGroup { by: vec![Some("m".to_owned())], sums: UsageSums::default() },
        &[Dimension::Model],
    );
    let whole = Group::of(UsageGroup::default(), &[]);
    assert_eq!(members(&grouped), members(&whole));
    assert_eq!(whole.sums.cost_usd, "0.000000000");
}
