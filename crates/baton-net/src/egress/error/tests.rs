use super::*;

#[test]
fn an_error_of_our_own_is_found_however_deep_it_lies() {
    for kind in [SendErrorKind::Blocked, SendErrorKind::Tls, SendErrorKind::ConnectTimeout] {
        let error = io::Error::other(io::Error::other(SendError::new(kind)));
        assert_eq!(check(error), (kind, true));
    }
}

#[test]
fn a_connection_that_stood_is_no_connect_error_whatever_broke_it() {
    // Unanswered probes end a connection with `TimedOut`, a bad record with an error of TLS.
    for kind in [io::ErrorKind::ConnectionReset, io::ErrorKind::TimedOut, io::ErrorKind::NetworkUnreachable] {
        assert_eq!(check(kind.into()), (SendErrorKind::Reset, false));
    }
    let tls = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::DecryptError);
    assert_eq!(check(tls), (SendErrorKind::Reset, false));
}

#[test]
fn only_what_failed_before_the_request_left_is_a_connect_error() {
    for kind in
        [SendErrorKind::Dns, SendErrorKind::Blocked, SendErrorKind::Tls, SendErrorKind::ConnectTimeout]
    {
        assert!(SendError::new(kind).is_connect(), "{}", kind.as_str());
    }
    for kind in [SendErrorKind::Reset, SendErrorKind::Protocol] {
        assert!(!SendError::new(kind).is_connect(), "{}", kind.as_str());
    }
}

fn check(error: io::Error) -> (SendErrorKind, bool) {
    let error = SendError::classified(Box::new(error), SendErrorKind::Reset);
    (error.kind(), error.is_connect())
}
