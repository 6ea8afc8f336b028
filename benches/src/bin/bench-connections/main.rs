//! Very many connections, or very rude ones, against `lapwing hub` in a process of its own: what they cost, what they leave
//! behind, and what others notice.
//!
//! ```text
//! bench-connections idle [--connections 10000] [--transport ws]
//! bench-connections churn [--connections 50000]
//! bench-connections floods [--seconds 2] [--reps 3]
//! bench-connections stopped-reader [--connections 100] [--seconds 4] [--reps 3] [--rate 500]
//!    each with [--hub PATH]: the program, otherwise `lapwing` beside this one
//! ```
//!
//! Prints figures, and a line for each condition; exit code 1 when one does not hold. Needs Linux, and
//! `ulimit -n` of some thousands more than connections. Loopback only.

#[cfg(unix)]
mod churn;
#[cfg(unix)]
mod flood;
#[cfg(unix)]
mod floods;
#[cfg(unix)]
mod idle;
#[cfg(unix)]
mod latencies;
#[cfg(unix)]
mod options;
#[cfg(unix)]
mod report;
#[cfg(unix)]
mod stopped_reader;

#[cfg(not(unix))]
fn main() {
    eprintln!("bench-connections needs Linux");
}

#[cfg(unix)]
fn main() -> Result<std::process::ExitCode, Box<dyn std::error::Error>> {
    use std::process::ExitCode;

    use lapwing_benches::hub::raise_open_files;

    use crate::options::Options;
    use crate::report::Report;

    raise_open_files();
    let mut arguments = lexopt::Parser::from_env();
    let mut report = Report::default();
    let Some(lexopt::Arg::Value(mode)) = arguments.next()? else {
        return Err("which mode? idle, churn, floods or stopped-reader".into());
    };
    match mode.to_str() {
        Some("idle") => idle::run(&Options::parse(arguments, 10_000)?, &mut report)?,
        Some("churn") => churn::run(&Options::parse(arguments, 50_000)?, &mut report)?,
        Some("floods") => floods::run(&Options::parse(arguments, 0)?, &mut report)?,
        Some("stopped-reader") => {
            stopped_reader::run(&Options::parse(arguments, 100)?, &mut report)?;
        }
        // What `floods` starts beside itself.
        Some("flood") => flood::run(arguments)?,
        _ => return Err(format!("there is no mode {}", mode.display()).into()),
    }
    Ok(match report.all_hold() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
