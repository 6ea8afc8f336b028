//! The program `lapwing`: start a hub, publish, subscribe and call from a terminal.

mod call;
mod connect;
mod demo;
mod failure;
mod hex;
mod hub;
mod line;
mod options;
mod pace;
mod payload;
mod publish;
mod signals;
mod source;
mod stats;
mod sub;
mod url;
mod window;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use lexopt::prelude::*;

use crate::failure::Failure;

const USAGE: &str = "\
lapwing: real-time events between processes

";

const URLS: &str = "\
URL is tcp://HOST[:PORT] (port 7000 when left out; so may be tcp://) or ws://HOST[:PORT][/PATH] (port 7001). SECS may have
fractions. --promise SECS of a client: how often it speaks at least (2), so that the hub can tell that it is gone.
--protocol NAME: what is spoken with the hub, postcard (default) or json.
Exit codes: 0 when all went well, 1 when it did not, 2 for a command line that makes no sense.
";

fn main() -> ExitCode {
    let outcome = match run() {
        Err(Failure::Help) => print(&usage()),
        outcome => outcome,
    };
    match outcome {
        Ok(()) | Err(Failure::Help | Failure::Unread) => ExitCode::SUCCESS,
        Err(Failure::Failed(why)) => {
            tell(format_args!("lapwing: {why}"));
            ExitCode::FAILURE
        }
        Err(Failure::Usage(why)) => {
            tell(format_args!("lapwing: {why}; see lapwing --help"));
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Failure> {
    let mut parser = lexopt::Parser::from_env();
    let Some(argument) = parser.next()? else {
        return Err(Failure::usage("which command? hub, sub, pub, call or demo"));
    };
    let command = match argument {
        Value(command) => command.string()?,
        Long("version") | Short('V') => {
            return print(concat!("lapwing ", env!("CARGO_PKG_VERSION"), "\n"));
        }
        other => return Err(other.unexpected().into()),
    };
    match &*command {
        "hub" => hub::run(parser),
        "sub" => sub::run(parser),
        "pub" => publish::run(parser),
        "call" => call::run(parser),
        "demo" => demo::run(parser),
        "help" => Err(Failure::Help),
        other => Err(Failure::usage(format_args!(
            "there is no command {other:?}"
        ))),
    }
}

fn usage() -> String {
    let commands = [
        hub::USAGE,
        sub::USAGE,
        publish::USAGE,
        call::USAGE,
        demo::USAGE,
    ]
    .join("\n");
    [USAGE, &commands, "\n", URLS].concat()
}

fn print(text: &str) -> Result<(), Failure> {
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// Writes a line to standard error, if anybody is there to read it.
fn tell(line: impl Display) {
    // One write: lines of several programs on one terminal do not mix.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
