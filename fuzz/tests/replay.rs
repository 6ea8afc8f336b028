//! Every seed passes, and costs no more than it may, on any toolchain.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lapwing_fuzz::TARGETS;

fn files(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("a file").path()).collect()
}

fn replay(name: &str) {
    let seeds = files(Path::new("corpus").join(name));
    assert!(!seeds.is_empty());
    for seed in seeds {
        println!("{}", seed.display());
        lapwing_fuzz::run(name, &fs::read(&seed).expect("a seed that can be read"));
    }
}

#[test]
fn every_target_has_a_program_and_seeds() {
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name.into()).collect();
    let stems = |folder| -> BTreeSet<PathBuf> {
        let stem = |path: PathBuf| path.file_stem().map(PathBuf::from).expect("a name");
        files(folder).into_iter().map(stem).collect()
    };
    assert_eq!(stems("fuzz_targets"), names);
    assert_eq!(stems("corpus"), names);
}

#[test]
fn decode() {
    replay("decode");
}

#[test]
fn hub() {
    replay("hub");
}

#[test]
fn json() {
    replay("json");
}

#[test]
fn session() {
    replay("session");
}

#[test]
fn signalr() {
    replay("signalr");
}

#[test]
fn tcp() {
    replay("tcp");
}

#[test]
fn topic() {
    replay("topic");
}

#[test]
fn upgrade() {
    replay("upgrade");
}

#[test]
fn websocket() {
    replay("websocket");
}

#[test]
fn websocket_client() {
    replay("websocket_client");
}
