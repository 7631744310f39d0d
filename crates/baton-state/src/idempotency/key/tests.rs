use aws_lc_rs::hmac::HMAC_SHA256;

use super::*;

#[test]
fn a_key_has_1_to_255_printable_characters() {
    for good in ["k", "stainless-python-retry-0190", "a b~!", &"x".repeat(255)] {
        assert!(good.parse::<IdempotencyKey>().is_ok(), "{good:?}");
    }
    for (bad, error) in [
        ("", KeyError::Empty),
        ("a\nb", KeyError::NotPrintable),
        ("schlüssel", KeyError::NotPrintable),
        (&*"x".repeat(256), KeyError::TooLong(256)),
    ] {
        assert_eq!(bad.parse::<IdempotencyKey>(), Err(error));
    }
}

#[test]
fn caller_surface_and_key_make_the_id_and_the_body_does_not() {
    let first = id(["key_a", "/v1/messages", "k", "one"]);
    assert_eq!(first, id(["key_a", "/v1/messages", "k", "two"]));
    for other in [
        ["key_b", "/v1/messages", "k", "one"],
        ["key_a", "/v1/chat/completions", "k", "one"],
        ["key_a", "/v1/messages", "l", "one"],
        ["key_a/v1", "/messages", "k", "one"],
    ] {
        assert_ne!(first, id(other));
    }
}

#[test]
fn a_key_is_not_shown() {
    let key: IdempotencyKey = "order-4711".parse().unwrap();
    assert_eq!(format!("{key:?}"), "IdempotencyKey");
}

fn id([principal, surface, key, body]: [&str; 4]) -> Id {
    let mac = hmac::Key::new(HMAC_SHA256, &[7; 32]);
    Asked { principal, surface, key: &key.parse().unwrap(), body: body.as_bytes() }.id(&mac)
}
