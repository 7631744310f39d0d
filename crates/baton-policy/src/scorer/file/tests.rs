use super::*;
use crate::scorer::Scorer;

#[test]
fn what_is_written_is_read_again() {
    let bytes = file().encode().unwrap();
    assert_eq!(ScorerFile::parse(&bytes).unwrap().encode().unwrap(), bytes);
}

#[test]
fn another_file_is_refused() {
    assert_eq!(check(|_| b"PK\x03\x04".to_vec()), "the file does not start with `baton-scorer 1`");
    assert_eq!(check(|_| Vec::new()), "the file does not start with `baton-scorer 1`");
}

#[test]
fn another_format_is_refused() {
    let later = |bytes: &[u8]| [b"baton-scorer 2", bytes.get(FORMAT.len()..).unwrap()].concat();
    assert_eq!(check(later), "the file does not start with `baton-scorer 1`");
}

#[test]
fn a_header_that_is_no_json_is_refused() {
    assert_eq!(check(|_| b"baton-scorer 1\n{\"version\":".to_vec()), "the header cannot be read");
}

#[test]
fn a_cut_file_is_refused() {
    let cut = |bytes: &[u8]| bytes.split_last().unwrap().1.to_vec();
    assert_eq!(check(cut), "655 bytes of weights, expected 656");
}

#[test]
fn a_tail_is_refused() {
    assert_eq!(check(|bytes| [bytes, b"x"].concat()), "657 bytes of weights, expected 656");
}

#[test]
fn a_changed_weight_is_refused() {
    let change = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    assert_eq!(check(change), "the weights do not match their checksum");
}

#[test]
fn every_cut_is_refused() {
    let bytes = file().encode().unwrap();
    for end in 0..bytes.len() {
        assert!(ScorerFile::parse(&bytes[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn other_features_are_refused() {
    assert_eq!(
        header(|header| header.features.revision = 2),
        "the weights are for revision 2 of the features, this program has 1"
    );
}

#[test]
fn too_many_buckets_are_refused() {
    assert_eq!(header(|header| header.features.bits = 63), "63 bits of hash, expected 8 to 14");
}

#[test]
fn a_file_without_models_is_refused() {
    assert_eq!(header(|header| header.models.clear()), "0 models, expected 1 to 32");
}

#[test]
fn a_model_that_stands_there_twice_is_refused() {
    assert_eq!(
        header(|header| header.models[1].name = "small".to_owned()),
        "the model `small` stands there twice"
    );
}

#[test]
fn a_prior_above_the_whole_is_refused() {
    assert_eq!(
        header(|header| header.models[0].prior = 1_000_001),
        "a figure of `small` is more than the whole"
    );
}

#[test]
fn a_share_above_the_whole_is_refused() {
    assert_eq!(
        header(|header| header.text_share.otherwise = 1001),
        "a figure of `text_share` is more than the whole"
    );
}

/// A file of two models and 256 buckets.
pub(in crate::scorer) fn file() -> ScorerFile {
    let model = |name: &str, prior, code| ScorerModel {
        name: name.to_owned(),
        scale: 1_000_000,
        prior,
        kinds: BTreeMap::from([(TaskKind::Code, KindPrior { quality: code, cases: 10 })]),
    };
    let header = ScorerHeader {
        version: 7,
        note: "a test".to_owned(),
        features: FeatureSpec { revision: FEATURES_REVISION, bits: 8 },
        text_share: TextShare { kinds: BTreeMap::from([(TaskKind::Code, 1000)]), otherwise: 500 },
        trained_on: Vec::new(),
        models: vec![model("small", 600_000, 400_000), model("large", 800_000, 900_000)],
        checksum: String::new(),
    };
    let rows = vec![[0; MAX_MODELS]; header.rows()];
    ScorerFile { header, rows }
}

/// What is said of a file that was changed after it was written.
#[track_caller]
fn check(change: impl Fn(&[u8]) -> Vec<u8>) -> String {
    Scorer::parse(&change(&file().encode().unwrap())).unwrap_err().to_string()
}

/// What is said of a file that was written with another header.
#[track_caller]
fn header(change: impl Fn(&mut ScorerHeader)) -> String {
    let mut file = file();
    change(&mut file.header);
    file.encode().unwrap_err().to_string()
}
