//! Makes a new migration rebuild this crate: the compiler sees only the files it has read.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations/sqlite");
}
