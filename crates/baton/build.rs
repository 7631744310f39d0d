//! Packs the program's relocations where the C library of this machine can read them packed.
//!
//! A program that may stand anywhere in memory has a table of all places that name an address: 2 MB here, which the
//! loader reads at each start and which stays in memory. Packed it has 50 kB.
//!
//! - glibc reads such a table since 2.36. With an older one, or where its version is not known, nothing is changed.
//! - **Never here:** anything that a program on another machine than this one could miss.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_for_this_machine = env::var("HOST").is_ok_and(|host| env::var("TARGET") == Ok(host));
    if is_for_this_machine && glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's glibc, if that is its C library.
fn glibc() -> Option<(u32, u32)> {
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let told = String::from_utf8(told.stdout).ok()?;
    let (major, minor) = told.trim().strip_prefix("glibc ")?.split_once('.')?;
    let minor = minor.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
