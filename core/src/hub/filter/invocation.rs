//! A call on its way to its method, and its result on the way back.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::answers::{Arguments, CallFailure, Product, decoded};
use crate::hub::Caller;
use crate::payload::{Decode, Encode, EncodeError, encoded};
use crate::streams::reader::Reader;
use crate::wire::{Encoding, FailureCode, Payload};

/// A call that a client has made, on its way to the handler.
pub struct Invocation {
    caller: Caller,
    method: String,
    encoding: Encoding,
    arguments: Vec<u8>,
    /// Streams that the caller sends, until the handler has them.
    uploads: Vec<Reader>,
    wanted: Encoding,
}

impl Invocation {
    pub(crate) fn new(caller: Caller, method: &str, arguments: Arguments<'_>) -> Self {
        let Arguments {
            payload,
            uploads,
            wanted,
        } = arguments;
        Self {
            caller,
            method: method.into(),
            encoding: payload.encoding,
            arguments: payload.bytes.to_vec(),
            uploads,
            wanted,
        }
    }

    /// What the handler gets; streams only the first time.
    pub(super) fn take(&mut self) -> Arguments<'_> {
        Arguments {
            uploads: core::mem::take(&mut self.uploads),
            wanted: self.wanted,
            payload: self.payload(),
        }
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What it calls.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The arguments as they came.
    pub fn payload(&self) -> Payload<'_> {
        Payload {
            encoding: self.encoding,
            bytes: &self.arguments,
        }
    }

    /// The arguments.
    ///
    /// # Errors
    ///
    /// [`FailureCode::Arguments`]: the caller meant another type.
    pub fn arguments<A: Decode>(&self) -> Result<A, CallFailure> {
        decoded(self.payload())
    }

    /// Puts others in their place.
    ///
    /// # Errors
    ///
    /// [`FailureCode::Panicked`]: they cannot be written, a fault of the program. Nothing has changed.
    pub fn set_arguments(&mut self, arguments: impl Encode) -> Result<(), CallFailure> {
        let arguments = encoded(&arguments, self.wanted).map_err(fault)?;
        (self.encoding, self.arguments) = arguments;
        Ok(())
    }

    /// A result of this call.
    ///
    /// # Errors
    ///
    /// [`FailureCode::Panicked`]: it cannot be written, a fault of the program.
    pub fn result(&self, result: impl Encode) -> Result<CallResult, CallFailure> {
        let value = encoded(&result, self.wanted).map_err(fault)?;
        Ok(CallResult(Product::Value(value)))
    }
}

impl fmt::Debug for Invocation {
    /// Without the arguments: they may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invocation")
            .field("caller", &self.caller.id())
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// What a method answered, on its way back to the caller: a value, or a stream that begins.
pub struct CallResult(pub(super) Product);

impl CallResult {
    /// Whether it is a stream, whose items come later and pass no filter.
    pub fn is_stream(&self) -> bool {
        matches!(self.0, Product::Stream(_))
    }

    /// It as it leaves; no bytes for a stream.
    pub fn payload(&self) -> Payload<'_> {
        match &self.0 {
            Product::Value((encoding, bytes)) => Payload {
                encoding: *encoding,
                bytes,
            },
            Product::Stream(_) => Payload::bytes(&[]),
        }
    }

    /// Its value.
    ///
    /// # Errors
    ///
    /// [`FailureCode::Panicked`]: it is of another type, or a stream; a fault of the program.
    pub fn value<R: Decode>(&self) -> Result<R, CallFailure> {
        R::decode(self.payload())
            .map_err(|error| CallFailure::new(FailureCode::Panicked, error.to_string()))
    }
}

impl fmt::Debug for CallResult {
    /// Without the bytes: they may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallResult")
            .field("encoding", &self.payload().encoding)
            .field("bytes", &self.payload().bytes.len())
            .field("is_stream", &self.is_stream())
            .finish()
    }
}

fn fault(error: EncodeError) -> CallFailure {
    CallFailure::new(FailureCode::Panicked, error.to_string())
}
