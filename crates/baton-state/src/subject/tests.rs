use super::*;

#[test]
fn the_safety_identifier_goes_before_the_user_and_both_before_the_key() {
    let [anna, ben] = ["anna", "ben"].map(Subject::end_user);
    assert_eq!(Subject::of("key_1", Some("anna"), Some("ben")), anna);
    assert_eq!(Subject::of("key_1", None, Some("ben")), ben);
    assert_eq!(Subject::of("key_1", Some(""), Some("ben")), ben);
    assert_eq!(Subject::of("key_1", Some(""), None), Subject::principal("key_1"));
    assert_ne!(anna, ben);
}

#[test]
fn a_user_is_the_same_under_every_key() {
    assert_eq!(Subject::of("key_1", None, Some("anna")), Subject::of("key_2", None, Some("anna")));
}

#[test]
fn a_name_is_not_told() {
    let subject = Subject::end_user("anna@example.com\u{0}");
    assert_eq!(subject.as_str().len(), 37);
    assert!(!subject.to_string().contains("anna"));
    assert_eq!(subject.as_str().parse(), Ok(subject));
    assert_eq!("".parse::<Subject>(), Err(NoSubject));
}
