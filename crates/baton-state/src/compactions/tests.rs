use super::*;
use crate::vault::SealError;

/// Puts the place in front, and looks whether it is the same one when it is opened.
#[derive(Debug)]
struct Marked;

impl Seal for Marked {
    fn seal(&self, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        Ok([&place.context(), plain].concat())
    }

    fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let plain = sealed.strip_prefix(place.context().as_slice());
        plain.map(<[u8]>::to_vec).ok_or_else(|| SealError::new("another place"))
    }
}

#[test]
fn a_summary_opens_for_whom_it_was_made() {
    assert_eq!(check("key_a", "key_a").as_deref(), Some("They spoke of cats."));
}

#[test]
fn a_summary_opens_for_nobody_else() {
    assert_eq!(check("key_a", "key_b"), None);
    assert_eq!(check("key_a", "anonymous"), None);
}

fn check(made_for: &str, opened_by: &str) -> Option<String> {
    let compactions = Compactions::new(Arc::new(Marked));
    let sealed = compactions.seal(made_for, "They spoke of cats.").unwrap();
    compactions.open(opened_by, &sealed).ok()
}
