//! Every seed passes, on any toolchain.

use std::fs;
use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let seeds: Vec<_> = fs::read_dir(folder)
        .expect("a folder of seeds")
        .map(|entry| entry.expect("a seed").path())
        .collect();
    assert!(!seeds.is_empty());
    for seed in seeds {
        println!("{}", seed.display());
        check(&fs::read(&seed).expect("a seed that can be read"));
    }
}

#[test]
fn decode() {
    replay("decode", lapwing_fuzz::decode);
}

#[test]
fn json() {
    replay("json", lapwing_fuzz::json);
}

#[test]
fn session() {
    replay("session", lapwing_fuzz::session);
}

#[test]
fn topic() {
    replay("topic", lapwing_fuzz::topic);
}

#[test]
fn upgrade() {
    replay("upgrade", lapwing_fuzz::upgrade);
}

#[test]
fn websocket() {
    replay("websocket", lapwing_fuzz::websocket);
}
