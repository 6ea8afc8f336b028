//! Files that are open, and read piece by piece by threads that may block.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use blocking::{Task, unblock};
use bytes::Bytes;
use http::HeaderValue;

use super::kind::kind;
use super::wanted::{Wanted, is_open};

/// How much of a file is read at a time, and held by an answer.
const PIECE_BYTES: u64 = 16 * 1024;

/// What is at a path.
pub(super) enum Found {
    File(Opened),
    /// A folder, but it was not asked for as one.
    Folder,
}

/// A file that can be read.
pub(super) struct Opened {
    file: File,
    length: u64,
    modified: Option<SystemTime>,
    first: Bytes,
    kind: &'static str,
}

/// Looks for what is wanted in a folder whose path has no links in it. Blocks.
pub(super) fn open(folder: &Path, wanted: &Wanted) -> io::Result<Found> {
    let mut path = folder.join(&wanted.path);
    if wanted.index {
        path.push("index.html");
    }
    let kind = kind(&path);
    let path = path.canonicalize()?;
    let inside = path.strip_prefix(folder).ok();
    if !inside.is_some_and(is_open) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let about = path.metadata()?;
    if about.is_dir() && !wanted.index {
        return Ok(Found::Folder);
    }
    // Before it is opened: that of a pipe would wait for its other end.
    if !about.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut file = File::open(path)?;
    let about = file.metadata()?;
    let length = about.len();
    let first = piece(&mut file, length)?;
    Ok(Found::File(Opened {
        file,
        length,
        modified: about.modified().ok(),
        first,
        kind,
    }))
}

/// Some of what is left.
fn piece(file: &mut File, left: u64) -> io::Result<Bytes> {
    let max = left.min(PIECE_BYTES);
    let mut bytes = Vec::with_capacity(max as usize);
    file.take(max).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

impl Opened {
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    /// What tells it from what it was before, as far as its time and its length do.
    pub(super) fn tag(&self) -> Option<HeaderValue> {
        let since = self.modified?.duration_since(UNIX_EPOCH).ok()?;
        let tag = format!("\"{:x}-{:x}\"", since.as_nanos(), self.length);
        HeaderValue::from_str(&tag).ok()
    }

    /// What it holds, as it is when it is read; as much as it was when it was opened.
    pub(super) fn into_reading(self) -> Reading {
        let left = self.length - self.first.len() as u64;
        Reading {
            left,
            here: self.first,
            // Most are read already.
            source: match left {
                0 => Source::Done,
                _ => Source::File(self.file),
            },
        }
    }
}

/// A file on its way to a client.
pub(crate) struct Reading {
    /// What is still to be read.
    left: u64,
    here: Bytes,
    source: Source,
}

enum Source {
    File(File),
    Thread(Task<(File, io::Result<Bytes>)>),
    Done,
}

impl Reading {
    /// How much is still to come.
    pub(crate) fn left(&self) -> u64 {
        self.left + self.here.len() as u64
    }

    /// The next piece. When the file has become shorter, or cannot be read any more, there is none before the length is reached: whoever writes the answer must break it off.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.here.is_empty() && self.left > 0 {
            self.here = ready!(self.poll_read(cx)).unwrap_or_default();
            self.left -= self.here.len() as u64;
        }
        let here = core::mem::take(&mut self.here);
        Poll::Ready((!here.is_empty()).then_some(here))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let mut task = match core::mem::replace(&mut self.source, Source::Done) {
            Source::Done => return Poll::Ready(Ok(Bytes::new())),
            Source::Thread(task) => task,
            Source::File(mut file) => {
                let left = self.left;
                unblock(move || {
                    let piece = piece(&mut file, left);
                    (file, piece)
                })
            }
        };
        let Poll::Ready((file, piece)) = Pin::new(&mut task).poll(cx) else {
            self.source = Source::Thread(task);
            return Poll::Pending;
        };
        if piece.as_ref().is_ok_and(|piece| !piece.is_empty()) {
            self.source = Source::File(file);
        }
        Poll::Ready(piece)
    }
}

#[cfg(test)]
mod tests {
    use core::future::poll_fn;

    use futures_lite::future::block_on;

    use super::*;

    #[test]
    fn a_file_is_held_piece_by_piece() {
        let folder = std::env::temp_dir().canonicalize().expect("a folder");
        let name = format!("lapwing-{}", std::process::id());
        std::fs::write(folder.join(&name), [b'x'; 40_000]).expect("a place to write");
        let wanted = Wanted::new(&name).expect("a name");
        let opened = open(&folder, &wanted);
        std::fs::remove_file(folder.join(name)).expect("it is there");
        let Ok(Found::File(opened)) = opened else {
            panic!("no file");
        };
        let mut reading = opened.into_reading();
        let mut sizes = Vec::new();
        while let Some(piece) = block_on(poll_fn(|cx| reading.poll(cx))) {
            sizes.push((piece.len(), reading.left()));
        }
        assert_eq!(sizes, [(16_384, 23_616), (16_384, 7_232), (7_232, 0)]);
    }
}
