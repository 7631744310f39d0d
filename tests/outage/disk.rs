//! The disk has no room left: no answer without its record, and no answer that waits for room.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use baton_testkit::rows::Store;
use tokio::time::{Instant, sleep};

use crate::bench::{Bench, LOOK, WAIT, failures, is_shed, length};

/// Says that file systems may be mounted: `cargo xtask outage` runs this test where they may.
const MOUNTS: &str = "BATON_OUTAGE_MOUNTS";
/// The size of the disk: room for a few small segments, and none for a whole one.
const DISK: &str = "size=32m";
/// How soon a request is refused that cannot be recorded.
const REFUSED_WITHIN: Duration = Duration::from_millis(50);
/// How soon all is well after there is room again.
const NORMAL_WITHIN: Duration = Duration::from_secs(5);
/// So many answers in a row mean that all is well.
const WELL: u32 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_at_once_and_loses_nothing() {
    if std::env::var_os(MOUNTS).is_none() {
        println!("SKIPPED: `cargo xtask outage` runs this where a small disk can be mounted");
        return;
    }
    let mut disk = None;
    let bench = Bench::on("sqlite", "", |data| disk = Some(Disk::mount(data))).await;
    let disk = disk.expect("a disk");
    let data = bench.setup.data_dir();
    let process = bench.setup.start().await.unwrap();
    let load = bench.load("disk");
    sleep(Duration::from_secs(2)).await;
    let filling = load.elapsed();
    let began = Instant::now();
    // What the gateway gives back in between is taken as well: a log of somebody else's does that.
    let mut refused = None;
    while refused.is_none_or(|since: Instant| since.elapsed() < length()) {
        disk.fill();
        if bench.ready().await["ready"] == false || bench.known_key().await == 503 {
            refused.get_or_insert_with(Instant::now);
        }
        assert!(began.elapsed() < WAIT, "a full disk refuses nothing");
        sleep(LOOK).await;
    }
    let freed = load.elapsed();
    disk.free();
    let back = Instant::now();
    let mut in_a_row = 0;
    while in_a_row < WELL {
        in_a_row = if bench.known_key().await == 200 { in_a_row + 1 } else { 0 };
        assert!(back.elapsed() < NORMAL_WITHIN, "requests are still refused");
        sleep(LOOK).await;
    }
    let normal = back.elapsed();
    let client = load.stop().await;
    let findings = bench.finish(process, &client, &Store::Embedded(&data)).await;

    let failed = failures(&client);
    let mut waited: Vec<Duration> = failed.iter().map(|entry| entry.took).collect();
    waited.sort();
    let at = |part: usize| waited.get(waited.len() * part / 100).copied().unwrap_or_default();
    println!(
        "disk full for {:.1} s at 200 requests/s: {} requests, {} refused (p5 {:.1} ms, median {:.1} ms, p99 {:.1} ms), normal {:.1} s after there was room; {findings}",
        (freed - filling).as_secs_f64(),
        client.len(),
        failed.len(),
        at(5).as_secs_f64() * 1000.0,
        at(50).as_secs_f64() * 1000.0,
        at(99).as_secs_f64() * 1000.0,
        normal.as_secs_f64(),
    );
    assert!(failed.iter().all(|entry| is_shed(entry)), "{:?}", failed.iter().find(|entry| !is_shed(entry)));
    assert!(!failed.is_empty(), "the disk was never full");
    // One of the quick ones: a machine that is busy with other work holds up most answers, and a gateway
    // that waited for room would hold up all.
    assert!(at(5) <= REFUSED_WITHIN, "a refusal takes {:?}", at(5));
    assert!(findings.is_clean(), "{findings:#?}");
}

/// A small disk, and a file that takes what is left of it.
struct Disk {
    at: PathBuf,
}

impl Disk {
    fn mount(at: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(at).status();
        assert!(mount.unwrap().success(), "no disk could be mounted");
        Self { at: at.to_owned() }
    }

    fn filler(&self) -> PathBuf {
        self.at.join("of-somebody-else")
    }

    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.filler()).unwrap();
        for block in [vec![1; 64 * 1024], vec![1; 512]] {
            while file.write_all(&block).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.at).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            println!("{} could not be unmounted", self.at.display());
        }
    }
}
