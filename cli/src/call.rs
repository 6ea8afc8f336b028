//! `lapwing call`: asks the hub to do something, and prints what comes of it.

use std::io::{self, Write};
use std::time::Duration;

use lapwing::client::CallError;
use lapwing::runtime::Smol;
use lexopt::prelude::*;

use crate::connect::{self, Connect, Language};
use crate::failure::{Failure, chain};
use crate::line::Style;
use crate::options;
use crate::payload::{Form, Raw};
use crate::url::Url;

pub(crate) const USAGE: &str = "\
lapwing call URL METHOD [ARGS] [--within SECS] [--json] [--hex] [--promise SECS] [--protocol NAME]
  Calls a method of the hub and prints the result as one line, escaped as by `sub`. A hub started by this program answers to
  echo (gives ARGS back), time (milliseconds since 1970), connections (how many there are) and counters (JSON).
  --within SECS    how long to wait for the result (30)
  --json           ARGS is a JSON value
  --hex            ARGS and result as hexadecimal digits
";

/// What to call.
struct Options {
    connect: Connect,
    method: String,
    arguments: Raw,
    within: Duration,
    hex: bool,
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> Result<Self, Failure> {
        let (mut url, mut promise) = (None, connect::PROMISE);
        let mut language = Language::default();
        let (mut method, mut arguments) = (None, None);
        let (mut within, mut form) = (lapwing::hub::CALL_WITHIN, Form::default());
        while let Some(argument) = parser.next()? {
            match argument {
                Value(text) if url.is_none() => url = Some(Url::parse(&text.string()?)?),
                Value(name) if method.is_none() => method = Some(name.string()?),
                Value(text) if arguments.is_none() => arguments = Some(text.string()?),
                Long("within") => within = options::seconds(&parser.value()?)?,
                Long("promise") => promise = options::seconds(&parser.value()?)?,
                Long("protocol") => language = options::language(&parser.value()?)?,
                Long("json") => form = Form::Json,
                Long("hex") => form = Form::Hex,
                other => return Err(other.unexpected().into()),
            }
        }
        let url = options::required(url, "URL")?;
        let arguments = arguments.unwrap_or_default().into_bytes();
        Ok(Self {
            connect: Connect {
                url,
                promise,
                language,
            },
            method: options::required(method, "METHOD")?,
            arguments: form.read(arguments).map_err(Failure::usage)?,
            within,
            hex: form == Form::Hex,
        })
    }
}

pub(crate) fn run(parser: lexopt::Parser) -> Result<(), Failure> {
    let options = Options::parse(parser)?;
    let style = Style {
        json: false,
        hex: options.hex,
    };
    let smol = Smol::new();
    let result = smol.block_on(call(&smol, options))?;
    let mut line = Vec::new();
    style.write_payload(&mut line, result.as_payload())?;
    Ok(io::stdout().write_all(&line)?)
}

async fn call(smol: &Smol, options: Options) -> Result<Raw, Failure> {
    let client = options.connect.client(smol).await?;
    let call = client
        .call::<Raw>(options.method, options.arguments)
        .within(options.within);
    let result = call.await;
    client.close().await;
    result.map_err(|error| match error {
        // What the hub says is the news.
        CallError::Failed(failure) => Failure::failed(failure),
        other => Failure::failed(chain(&other)),
    })
}
