use std::thread;

use super::*;

const GOOD: &str = "0123456789abcdef0123456789abcdef";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Computed with another implementation of RFC 5869. A changed line here means that no existing key,
/// cursor or sealed text works any more.
#[test]
fn each_label_derives_its_own_key_and_always_the_same() {
    let master = MasterKey::from_text(GOOD).unwrap();
    for (label, expected) in [
        (Label::KeyMac, "e567b99e53b30542563f6bb6612884ec9964269c079d9b668f3098f10f0e066e"),
        (Label::KeySnapshot, "fb50772318c8a811881678fccb3fa7d5bb944a74b7a86274147ca131b67b4609"),
        (Label::PolicySnapshot, "556eed57bf1ce09669e6e0caff7cc172a7a0270c4bf2f126339b3c52f3af7b76"),
        (Label::Sealing, "914406ac741ef25e671b75cf643a2317f985abf4862d1f7973bd02f010f7efe8"),
        (Label::Sessions, "4e0cbad6bd8484cb8b131de1fb3ddab595101c51961a520c27ccbc67df030acd"),
        (Label::Cursors, "b08cde9216c80bd1df708c969658866ff8eda2e609373d6efbc5e48e8857f11c"),
        (Label::Signing, "0b4feeb76c899352eb137ccee923c27c2ce26fe8e15fd76bc90825c2b7607050"),
        (Label::Sticky, "a9cde3c4f2c0f6db36b0223189a0bd49d587c76c7cc9f3e2525e6b1949f40a4f"),
        (Label::Idempotency, "46dce65e9ab7742d7eaa95ae0f137f160c55f61209ebce731c0990110bcf0ace"),
    ] {
        assert_eq!(hex(master.derive(label).expose()), expected, "{label:?}");
    }
}

#[test]
fn a_short_or_simple_text_is_no_key() {
    let check = |text: &str| MasterKey::from_text(text).map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        check("hunter2"),
        "the master key has 7 characters, it needs at least 32; `openssl rand -base64 32` makes one"
    );
    assert_eq!(check(&format!("  {}  ", "x".repeat(31))), check(&"x".repeat(31)));
    assert_eq!(
        check(&"abc".repeat(40)),
        "the master key repeats the same few characters; `openssl rand -base64 32` makes a good one"
    );
}

#[test]
fn white_space_around_the_text_does_not_count() {
    let [plain, spaced] =
        [GOOD.to_owned(), format!("\n {GOOD}\r\n")].map(|text| MasterKey::from_text(&text).unwrap());
    assert_eq!(plain.derive(Label::Signing), spaced.derive(Label::Signing));
}

#[test]
fn a_key_prints_as_secret() {
    let master = MasterKey::from_text(GOOD).unwrap();
    assert_eq!(
        format!("{master:?} {:?}", master.derive(Label::Signing)),
        "MasterKey([secret]) DerivedKey([secret])"
    );
}

#[test]
fn the_first_start_makes_a_file_for_the_owner_only_and_later_ones_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let source = MasterKeySource::DataDir(dir.path().to_owned());
    let first = MasterKey::load(&source).unwrap().derive(Label::Signing);
    let path = dir.path().join("master.key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(MasterKey::load(&source).unwrap().derive(Label::Signing), first);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn processes_that_start_at_once_agree_on_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let source = MasterKeySource::DataDir(dir.path().to_owned());
    let keys: Vec<DerivedKey> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| MasterKey::load(&source).unwrap().derive(Label::Signing)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let source = MasterKeySource::DataDir(dir.path().to_owned());
    MasterKey::load(&source).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o666] {
        fs::set_permissions(dir.path().join("master.key"), Permissions::from_mode(mode)).unwrap();
        let error = MasterKey::load(&source).unwrap_err().to_string();
        assert!(error.contains(&format!("has mode {mode:04o}")), "{error}");
    }
}

#[test]
fn a_provided_file_may_have_any_mode_but_must_hold_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    fs::write(&path, GOOD).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    let source = MasterKeySource::File(path.clone());
    MasterKey::load(&source).unwrap();

    let check = |bytes: &[u8]| {
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        MasterKey::load(&source).map(|_| ()).unwrap_err()
    };
    assert!(matches!(check(b""), MasterKeyError::TooShort(0)));
    assert!(matches!(check(&[0xff; 40]), MasterKeyError::NotText { .. }));
    assert!(matches!(check(&[b'x'; 5000]), MasterKeyError::TooLong { .. }));
    fs::remove_file(&path).unwrap();
    assert!(matches!(MasterKey::load(&source).unwrap_err(), MasterKeyError::Io { action: "open", .. }));
}

#[test]
fn a_half_made_key_file_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    write_new(&dir.path().join("master.key"), b"").unwrap();
    let error = MasterKey::load(&MasterKeySource::DataDir(dir.path().to_owned())).unwrap_err();
    assert!(matches!(error, MasterKeyError::TooShort(0)));
}

#[test]
fn a_given_key_wins_over_the_data_directory_and_two_are_an_error() {
    let dir = Path::new("data");
    let choose = |value: Option<&str>, file: Option<&str>| {
        MasterKeySource::choose(value.map(str::to_owned), file.map(PathBuf::from), dir)
    };
    assert_eq!(choose(Some("x"), None).unwrap(), MasterKeySource::Value(Secret::new("x".to_owned())));
    assert!(choose(None, Some("f")).unwrap().is_given());
    assert!(!choose(None, None).unwrap().is_given());
    assert!(matches!(choose(Some("x"), Some("f")), Err(MasterKeyError::GivenTwice)));
}
