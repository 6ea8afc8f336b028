//! What a client hears of a call that failed, in the words that clients know.

use lapwing::wire::{Failure, FailureCode};

/// The error of a completion: `method` as the client wrote it. What a handler says by its failure's message is for the client to read; without one nothing is
/// told.
pub(crate) fn text(method: &str, failure: Failure<'_>) -> String {
    match failure.code {
        FailureCode::UnknownMethod => format!("Unknown hub method '{method}'"),
        FailureCode::Arguments => {
            format!("Failed to invoke '{method}' due to an error on the server.")
        }
        FailureCode::Forbidden => {
            format!("Failed to invoke '{method}' because user is unauthorized")
        }
        FailureCode::Streams => format!(
            "The client attempted to invoke the streaming '{method}' method with a non-streaming invocation."
        ),
        FailureCode::NoStream => format!(
            "The client attempted to invoke the non-streaming '{method}' method with a streaming invocation."
        ),
        _ => {
            let tail = public(failure);
            format!("An unexpected error occurred invoking '{method}' on the server.{tail}")
        }
    }
}

/// The same for a stream that has begun.
pub(crate) fn streaming(failure: Failure<'_>) -> String {
    let tail = public(failure);
    format!("An error occurred on the server while streaming results.{tail}")
}

/// What may be told.
fn public(failure: Failure<'_>) -> String {
    let message = match failure.code {
        FailureCode::Failed => failure.message,
        FailureCode::Busy => "too many calls are waiting",
        FailureCode::TimedOut => "the call took too long",
        FailureCode::Shutdown => "the hub shuts down",
        _ => "",
    };
    match message {
        "" => String::new(),
        message => format!(" HubException: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_handler_says_is_told() {
        let text = |code, message| text("Add", Failure { code, message });
        assert_eq!(
            text(FailureCode::Failed, "overflow"),
            "An unexpected error occurred invoking 'Add' on the server. HubException: overflow"
        );
        assert_eq!(
            text(FailureCode::Panicked, "secret"),
            "An unexpected error occurred invoking 'Add' on the server."
        );
        let (code, message) = (FailureCode::Failed, "cold");
        assert_eq!(
            streaming(Failure { code, message }),
            "An error occurred on the server while streaming results. HubException: cold"
        );
        assert_eq!(
            text(FailureCode::Failed, ""),
            "An unexpected error occurred invoking 'Add' on the server."
        );
        assert_eq!(
            text(FailureCode::Arguments, "line 1"),
            "Failed to invoke 'Add' due to an error on the server."
        );
    }
}
