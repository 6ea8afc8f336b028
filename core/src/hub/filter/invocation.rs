//! A call on its way to its method, and its result on the way back.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::answers::{CallFailure, decoded};
use crate::hub::Caller;
use crate::payload::{Decode, Encode, EncodeError, encoded};
use crate::wire::{Encoding, FailureCode, Payload};

/// A call that a client has made, on its way to the handler.
pub struct Invocation {
    caller: Caller,
    method: String,
    encoding: Encoding,
    arguments: Vec<u8>,
    pub(super) wanted: Encoding,
}

impl Invocation {
    pub(crate) fn new(
        caller: Caller,
        method: &str,
        arguments: Payload<'_>,
        wanted: Encoding,
    ) -> Self {
        Self {
            caller,
            method: method.into(),
            encoding: arguments.encoding,
            arguments: arguments.bytes.to_vec(),
            wanted,
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
        let (encoding, bytes) = encoded(&result, self.wanted).map_err(fault)?;
        Ok(CallResult { encoding, bytes })
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

/// What a method answered, on its way back to the caller.
pub struct CallResult {
    pub(super) encoding: Encoding,
    pub(super) bytes: Vec<u8>,
}

impl CallResult {
    /// It as it leaves.
    pub fn payload(&self) -> Payload<'_> {
        Payload {
            encoding: self.encoding,
            bytes: &self.bytes,
        }
    }

    /// Its value.
    ///
    /// # Errors
    ///
    /// [`FailureCode::Panicked`]: it is of another type, a fault of the program.
    pub fn value<R: Decode>(&self) -> Result<R, CallFailure> {
        R::decode(self.payload())
            .map_err(|error| CallFailure::new(FailureCode::Panicked, error.to_string()))
    }
}

impl fmt::Debug for CallResult {
    /// Without the bytes: they may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallResult")
            .field("encoding", &self.encoding)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

fn fault(error: EncodeError) -> CallFailure {
    CallFailure::new(FailureCode::Panicked, error.to_string())
}
