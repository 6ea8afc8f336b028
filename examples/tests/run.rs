//! Every example runs to its end, and prints what it shows.

mod programs;

/// Compares what an example prints with `expected`; `…` stands for the rest of a line.
fn prints(example: &str, expected: &str) {
    let output = programs::run(example, &[]);
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let matches = |(line, expected): (&str, &str)| match expected.strip_suffix('…') {
        Some(start) => line.starts_with(start),
        None => line == expected,
    };
    let same = printed.lines().count() == expected.lines().count()
        && printed.lines().zip(expected.lines()).all(matches);
    assert!(
        output.status.success() && same,
        "{example} ended with {}\n{printed}{errors}",
        output.status
    );
}

#[test]
fn quickstart() {
    prints("quickstart", "news/weather: rain");
}

/// The README sets them more tightly.
#[test]
fn the_readme_shows_programs_that_are_tested() {
    let dense = |text: &str| text.split_whitespace().collect::<String>();
    let readme = dense(include_str!("../../README.md"));
    for example in [
        include_str!("../quickstart.rs"),
        include_str!("../first_chat.rs"),
    ] {
        let (_, program) = example.split_once("use ").expect("a program");
        assert!(readme.contains(&dense(program)), "{program}");
    }
}

#[test]
fn rooms() {
    prints(
        "rooms",
        "joined ben by phone\n\
         said ann: does it rain?\n\
         said ann: does it rain?\n\
         notice your mother called\n\
         notice your mother called\n\
         ben is here by phone and tablet\n\
         said ann: where are you?",
    );
}

const A_DAY: &str = "listening on tcp://127.0.0.1:…\n\
    a stranger is refused: this token is unknown\n\
    jobs/ann/1 is printed, all 3 pages are accounted for\n\
    ann may do what a customer may\n\
    2 said goodbye, 0 were cut";

#[test]
fn smol_service() {
    prints("smol_service", A_DAY);
}

#[test]
fn tokio_service() {
    prints("tokio_service", A_DAY);
}

#[test]
fn bad_network() {
    prints("bad_network", "every ticket was shown, or its absence was");
}

#[test]
fn virtual_time() {
    prints("virtual_time", "trace …");
}
