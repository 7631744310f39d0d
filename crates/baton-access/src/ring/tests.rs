use super::*;
use crate::fake_store::FakeStore;
use crate::{IssuedKey, NewKey};

const NOW: u64 = 1_000_000;

struct Bench {
    dir: tempfile::TempDir,
    store: Arc<FakeStore>,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), store: Arc::default() }
    }

    fn open(&self) -> KeyRing {
        self.open_as("a", Some("an-admin-key-of-some-length"))
    }

    fn open_as(&self, master: &str, admin: Option<&str>) -> KeyRing {
        let master = MasterKey::from_text(&format!("{master}-0123456789abcdef0123456789abcdef")).unwrap();
        let admin = admin.map(|key| Secret::new(key.to_owned()));
        KeyRing::open(self.store.clone(), &master, self.dir.path(), admin.as_ref()).unwrap()
    }
}

async fn create(ring: &KeyRing, grant: Grant) -> IssuedKey {
    ring.create(NewKey { name: "laptop".to_owned(), grant }, &UNLIMITED, NOW).await.unwrap()
}

/// Who the presented key is, or why nobody.
#[track_caller]
fn check(ring: &KeyRing, presented: &str, now_ms: u64) -> String {
    ring.authenticate(Some(presented), now_ms)
        .map_or_else(|error| format!("{error:?}"), |principal| principal.name().to_owned())
}

#[tokio::test]
async fn a_key_works_as_soon_as_it_is_made_and_carries_its_grant() {
    let ring = Bench::new().open();
    let grant = Grant { role: Role::Viewer, models: Some(vec!["a".to_owned()]), byok: false, ..UNLIMITED };
    let issued = create(&ring, grant.clone()).await;
    let principal = ring.authenticate(Some(issued.secret.expose()), NOW).unwrap();
    assert_eq!(principal.id(), PrincipalId::Key(issued.record.id));
    assert_eq!(*principal.grant(), grant);
}

#[tokio::test]
async fn no_key_an_empty_one_and_an_unknown_one_are_told_apart() {
    let ring = Bench::new().open();
    ring.refresh().await.unwrap();
    assert_eq!(ring.authenticate(None, NOW).unwrap_err(), AuthError::Missing);
    assert_eq!(check(&ring, "", NOW), "Missing");
    assert_eq!(check(&ring, "bk_unknown", NOW), "Unknown");
}

#[tokio::test]
async fn a_key_ends_at_its_expiry_to_the_millisecond() {
    let ring = Bench::new().open();
    let issued = create(&ring, Grant { expires_ms: Some(NOW + 10), ..UNLIMITED }).await;
    assert_eq!(check(&ring, issued.secret.expose(), NOW + 9), "laptop");
    assert_eq!(check(&ring, issued.secret.expose(), NOW + 10), "Expired");
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_says_so() {
    let ring = Bench::new().open();
    let issued = create(&ring, Grant { expires_ms: Some(NOW + 10), ..UNLIMITED }).await;
    ring.revoke(issued.record.id, &UNLIMITED, NOW + 1).await.unwrap();
    assert_eq!(check(&ring, issued.secret.expose(), NOW + 1), "Revoked");
    assert_eq!(check(&ring, issued.secret.expose(), NOW + 20), "Revoked");
}

#[tokio::test(start_paused = true)]
async fn a_key_made_elsewhere_is_not_called_unknown_while_the_store_is_away() {
    let bench = Bench::new();
    let ring = bench.open();
    let known = create(&ring, UNLIMITED).await;
    ring.refresh().await.unwrap();
    let other = create(&bench.open(), UNLIMITED).await;
    bench.store.set_away(true);
    ring.refresh().await.unwrap_err();
    assert_eq!(check(&ring, other.secret.expose(), NOW), "Unavailable");
    assert_eq!(check(&ring, known.secret.expose(), NOW), "laptop");
    // A store that is there again says who it was, and one that hangs is as good as away.
    bench.store.set_away(false);
    bench.store.set_silent(true);
    ring.refresh().await.unwrap_err();
    assert_eq!(check(&ring, "bk_unknown", NOW), "Unavailable");
    bench.store.set_silent(false);
    assert!(ring.refresh().await.unwrap());
    assert_eq!(check(&ring, other.secret.expose(), NOW), "laptop");
    assert_eq!(check(&ring, "bk_unknown", NOW), "Unknown");
}

#[tokio::test]
async fn known_keys_work_after_a_restart_while_the_store_is_away_and_others_cannot_be_checked() {
    let bench = Bench::new();
    let issued = create(&bench.open(), UNLIMITED).await;
    bench.store.set_away(true);
    let ring = bench.open();
    assert!(ring.refresh().await.is_err());
    assert!(!ring.is_current());
    assert_eq!(check(&ring, issued.secret.expose(), NOW), "laptop");
    assert_eq!(check(&ring, "bk_other", NOW), "Unavailable");
    bench.store.set_away(false);
    assert!(ring.refresh().await.unwrap());
    assert_eq!(check(&ring, "bk_other", NOW), "Unknown");
    bench.store.set_away(true);
    assert_eq!(check(&ring, "bk_other", NOW), "Unknown");
}

#[tokio::test]
async fn a_key_revoked_elsewhere_is_refused_after_a_refresh() {
    let bench = Bench::new();
    let [here, there] = [bench.open(), bench.open()];
    let issued = create(&here, UNLIMITED).await;
    assert!(there.refresh().await.unwrap());
    assert_eq!(check(&there, issued.secret.expose(), NOW), "laptop");
    here.revoke(issued.record.id, &UNLIMITED, NOW).await.unwrap();
    assert!(there.refresh().await.unwrap());
    assert_eq!(check(&there, issued.secret.expose(), NOW), "Revoked");
    assert!(!there.refresh().await.unwrap());
}

#[tokio::test]
async fn a_list_that_was_overtaken_is_not_taken_in() {
    let bench = Bench::new();
    let ring = bench.open();
    let issued = create(&ring, UNLIMITED).await;
    let overtaken = bench.store.list().await.unwrap();
    ring.revoke(issued.record.id, &UNLIMITED, NOW).await.unwrap();
    assert!(!ring.publish(overtaken, Source::Store));
    assert_eq!(check(&ring, issued.secret.expose(), NOW), "Revoked");
}

#[tokio::test]
async fn open_requests_are_counted_across_a_reload_and_a_rotation() {
    let ring = Bench::new().open();
    let issued = create(&ring, Grant { concurrency: Some(2), ..UNLIMITED }).await;
    let before = ring.authenticate(Some(issued.secret.expose()), NOW).unwrap();
    let permit = before.admit().unwrap();
    let rotated = ring.rotate(issued.record.id, 100, &UNLIMITED, NOW).await.unwrap();
    let after = ring.authenticate(Some(rotated.secret.expose()), NOW).unwrap();
    let _second = after.admit().unwrap();
    assert!(before.admit().is_err() && after.admit().is_err());
    drop(permit);
    assert!(before.admit().is_ok());
}

#[tokio::test]
async fn a_snapshot_of_another_master_key_is_left_out() {
    let bench = Bench::new();
    let issued = create(&bench.open(), UNLIMITED).await;
    let ring = bench.open_as("b", None);
    assert!(!ring.has_keys());
    assert_eq!(check(&ring, issued.secret.expose(), NOW), "Unavailable");
}

#[tokio::test]
async fn no_file_of_the_data_directory_holds_a_part_of_a_key() {
    let bench = Bench::new();
    let ring = bench.open();
    let issued = create(&ring, UNLIMITED).await;
    ring.rotate(issued.record.id, 100, &UNLIMITED, NOW).await.unwrap();
    let stored = format!("{:?}", bench.store.list().await.unwrap());
    let file = std::fs::read_to_string(bench.dir.path().join("keys.json")).unwrap();
    for window in issued.secret.expose().as_bytes().windows(8) {
        let window = std::str::from_utf8(window).unwrap();
        assert!(!file.contains(window) && !stored.contains(window) && !format!("{ring:?}").contains(window));
    }
}

#[tokio::test]
async fn the_admin_key_of_the_environment_works_without_a_store() {
    let bench = Bench::new();
    bench.store.set_away(true);
    let ring = bench.open();
    let principal = ring.authenticate(Some("an-admin-key-of-some-length"), NOW).unwrap();
    assert_eq!(principal.role(), Role::Admin);
    assert_eq!(principal.id().to_string(), format!("{}", environment_admin_id()));
    assert_eq!(principal.name(), "BATON_ADMIN_KEY …ngth");
    assert!(ring.has_keys() && !bench.open_as("a", None).has_keys());
}

#[test]
fn a_short_admin_key_is_refused() {
    let bench = Bench::new();
    let master = MasterKey::from_text("0123456789abcdef0123456789abcdef").unwrap();
    let short = Secret::new(" admin ".to_owned());
    let error = KeyRing::open(bench.store.clone(), &master, bench.dir.path(), Some(&short)).unwrap_err();
    assert_eq!(error, AdminKeyTooShort(5));
}

#[tokio::test]
async fn where_no_key_is_required_only_a_known_key_counts() {
    let bench = Bench::new();
    let ring = bench.open();
    let issued = create(&ring, Grant { expires_ms: Some(NOW + 10), ..UNLIMITED }).await;
    let who = |presented: Option<&str>, now_ms| ring.identify(presented, now_ms).map(|caller| caller.id());
    assert_eq!(who(None, NOW), Ok(PrincipalId::Anonymous));
    assert_eq!(who(Some("sk-any"), NOW), Ok(PrincipalId::Anonymous));
    assert_eq!(who(Some(issued.secret.expose()), NOW), Ok(PrincipalId::Key(issued.record.id)));
    assert_eq!(who(Some(issued.secret.expose()), NOW + 10), Err(AuthError::Expired));
    assert_eq!(ring.anonymous().role(), Role::Use);
}

#[tokio::test]
async fn a_key_is_looked_at_again_without_its_secret() {
    let bench = Bench::new();
    let ring = bench.open();
    let issued = create(&ring, Grant { expires_ms: Some(NOW + 10), ..UNLIMITED }).await;
    ring.refresh().await.unwrap();
    let id = issued.record.id;
    let who = |id, now_ms| ring.recall(id, now_ms).map(|caller| caller.id());
    assert_eq!(who(id, NOW), Ok(PrincipalId::Key(id)));
    assert_eq!(who(id, NOW + 10), Err(AuthError::Expired));
    assert_eq!(who(environment_admin_id(), NOW), Ok(PrincipalId::Key(environment_admin_id())));
    let nobody = KeyId::from_parts(1, [0; 10]);
    assert_eq!(who(nobody, NOW), Err(AuthError::Unknown));
    ring.revoke(id, &UNLIMITED, NOW).await.unwrap();
    assert_eq!(who(id, NOW), Err(AuthError::Revoked));
    assert_eq!(bench.open_as("b", None).recall(environment_admin_id(), NOW).err(), Some(AuthError::Unknown));
    // What the store does not say is not held against anybody.
    bench.store.set_away(true);
    assert!(ring.refresh().await.is_err());
    assert_eq!(who(nobody, NOW), Err(AuthError::Unavailable));
}
