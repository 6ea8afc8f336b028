//! What the transport does with a socket that does what it is told.
