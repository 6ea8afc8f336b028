//! Handlers of the application, from arguments as they came to an answer as it leaves.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use std::panic::catch_unwind;

use futures_core::Stream;

use super::items::{Items, written};
use super::{CallFailure, Opened};
use crate::payload::{Decode, Encode, EncodeError, encoded};
use crate::runtime::BoxFuture;
use crate::streams::reader::{Reader, Uploads};
use crate::wire::{Encoding, FailureCode, Payload};

/// A value as it leaves.
pub(crate) type Value = (Encoding, Vec<u8>);

/// What a handler makes.
pub(crate) enum Product {
    Value(Value),
    Stream(Items),
}

impl Product {
    /// The value; what a filter has made a stream of is none.
    pub(crate) fn into_value(self) -> Result<Value, CallFailure> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Stream(_) => Err(CallFailure::strange()),
        }
    }
}

impl CallFailure {
    /// A filter has made a value of a stream, or the other way round.
    pub(crate) fn strange() -> Self {
        Self::new(FailureCode::Panicked, "")
    }

    /// What the program answers cannot be written.
    pub(super) fn unwritten(error: EncodeError) -> Self {
        Self::new(FailureCode::Panicked, error.to_string())
    }
}

/// What became of a call.
pub(crate) type Answer = Result<Product, CallFailure>;

/// What a call brings.
pub(crate) struct Arguments<'a> {
    pub(crate) payload: Payload<'a>,
    pub(crate) uploads: Vec<Reader>,
    /// The encoding that the caller wants.
    pub(crate) wanted: Encoding,
}

/// A handler of the application.
pub(crate) type Handler<C> =
    Arc<dyn Fn(C, Arguments<'_>) -> BoxFuture<'static, Answer> + Send + Sync>;

/// What the application answers to.
#[derive(Clone)]
pub(crate) struct Method<C> {
    pub(crate) handler: Handler<C>,
    /// The answer is a stream.
    pub(crate) streams: bool,
    /// Streams that the caller sends along.
    pub(crate) uploads: u32,
}

impl<C> Method<C> {
    /// Whether it may be called so.
    pub(crate) fn check(&self, opened: Opened) -> Result<(), CallFailure> {
        let code = match (self.streams, opened.streams) {
            (true, false) => Some(FailureCode::Streams),
            (false, true) => Some(FailureCode::NoStream),
            (true, true) | (false, false) => None,
        };
        if let Some(code) = code {
            return Err(CallFailure::new(code, ""));
        }
        let (sent, expected) = (opened.uploads, self.uploads);
        match sent == expected {
            true => Ok(()),
            // Applications on the clients of SignalR read this.
            false => {
                Err(format!("Client sent {sent} stream(s), Hub method expects {expected}.").into())
            }
        }
    }
}

/// Makes a method of a function over types, which answers with one value.
pub(crate) fn handler<C, A, U, R, F, Fut>(function: F) -> Method<C>
where
    C: Send + 'static,
    A: Decode + Send + 'static,
    U: Uploads,
    R: Encode,
    F: Fn(C, A, U) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, CallFailure>> + Send,
{
    let function = Arc::new(function);
    let handler: Handler<C> = Arc::new(move |caller, arguments| {
        let function = function.clone();
        let (taken, wanted) = (
            taken::<A, U>(arguments.payload, arguments.uploads),
            arguments.wanted,
        );
        Box::pin(async move {
            let (arguments, uploads) = taken?;
            let result = function(caller, arguments, uploads).await?;
            value(&result, wanted).map(Product::Value)
        })
    });
    Method {
        handler,
        streams: false,
        uploads: U::COUNT,
    }
}

/// Makes a method of a function over types, which answers with a stream.
pub(crate) fn stream_handler<C, A, U, R, F, S>(function: F) -> Method<C>
where
    C: Send + 'static,
    A: Decode + Send + 'static,
    U: Uploads,
    R: Encode + 'static,
    F: Fn(C, A, U) -> S + Send + Sync + 'static,
    S: Stream<Item = Result<R, CallFailure>> + Send + 'static,
{
    let function = Arc::new(function);
    let handler: Handler<C> = Arc::new(move |caller, arguments| {
        let function = function.clone();
        let (taken, wanted) = (
            taken::<A, U>(arguments.payload, arguments.uploads),
            arguments.wanted,
        );
        Box::pin(async move {
            let (arguments, uploads) = taken?;
            let answer = function(caller, arguments, uploads);
            Ok(Product::Stream(written(answer, wanted)))
        })
    });
    Method {
        handler,
        streams: true,
        uploads: U::COUNT,
    }
}

fn taken<A: Decode, U: Uploads>(
    payload: Payload<'_>,
    uploads: Vec<Reader>,
) -> Result<(A, U), CallFailure> {
    let arguments = decoded(payload)?;
    let uploads = U::take(&mut uploads.into_iter());
    let uploads = uploads.ok_or_else(|| CallFailure::new(FailureCode::Arguments, "streams"))?;
    Ok((arguments, uploads))
}

/// The value that a handler takes; its type is the application's, and so is the code that reads it.
pub(crate) fn decoded<A: Decode>(payload: Payload<'_>) -> Result<A, CallFailure> {
    match catch_unwind(|| A::decode(payload)) {
        Ok(value) => {
            value.map_err(|error| CallFailure::new(FailureCode::Arguments, error.to_string()))
        }
        Err(_) => Err(CallFailure::new(FailureCode::Panicked, "")),
    }
}

fn value(value: &impl Encode, wanted: Encoding) -> Result<Value, CallFailure> {
    encoded(value, wanted).map_err(CallFailure::unwritten)
}
