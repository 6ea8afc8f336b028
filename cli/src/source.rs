//! Where the payloads of `lapwing pub` come from: the command line, or standard input.

use std::io::{self, BufRead, Read};
use std::thread;

use smol::channel::{self, Receiver, Sender};

use crate::failure::Failure;

/// Lines that wait to be published.
const LINES_MAX: usize = 64;

/// The longest line that is read: no hub takes a message that comes near it, and a file without line ends does not fill the memory.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Payloads, one after the other.
pub(crate) enum Source {
    One(Option<Vec<u8>>),
    Lines(Receiver<io::Result<Vec<u8>>>),
}

impl Source {
    /// The lines of standard input, read by a thread: nothing else can wait for it on every system. The thread ends with
    /// the input, with this, or with the program.
    pub(crate) fn stdin() -> Self {
        let (lines, receiver) = channel::bounded(LINES_MAX);
        thread::spawn(move || read_lines(io::stdin().lock(), &lines));
        Self::Lines(receiver)
    }

    /// The next payload; nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::One(payload) => Ok(payload.take()),
            Self::Lines(lines) => {
                let line = lines.recv().await.ok().transpose();
                line.map_err(|error| Failure::failed(format_args!("standard input: {error}")))
            }
        }
    }
}

fn read_lines(mut input: impl BufRead, lines: &Sender<io::Result<Vec<u8>>>) {
    while let Some(line) = read_line(&mut input).transpose() {
        let last = line.is_err();
        if lines.send_blocking(line).is_err() || last {
            return;
        }
    }
}

/// The next line without its end; `None` at the end of the input.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = input
        .take(LINE_BYTES_MAX as u64 + 1)
        .read_until(b'\n', &mut line)?;
    if read > LINE_BYTES_MAX {
        let too_long = format!("a line has more than {LINE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, too_long));
    }
    if line.pop_if(|last| *last == b'\n').is_some() {
        line.pop_if(|last| *last == b'\r');
    }
    Ok((read > 0).then_some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mut input: &[u8]) -> Vec<Vec<u8>> {
        let next = || read_line(&mut input).expect("short lines");
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn each_line_is_a_payload_without_its_end() {
        assert_eq!(lines(b"a\n\nb\r\nc"), [&b"a"[..], b"", b"b", b"c"]);
        assert_eq!(lines(b""), Vec::<Vec<u8>>::new());
        assert_eq!(lines(b"\r"), [b"\r"]);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let endless = io::BufReader::new(io::repeat(b'x'));
        assert!(read_line(&mut { endless }).is_err());
    }
}
