//! Frames on their way to tungstenite: what is too large is refused, what is long goes on in pieces.

use std::io::{self, Cursor, Read};

use async_tungstenite::tungstenite::protocol::frame::FrameHeader;
use async_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use lapwing::Limits;

use crate::fault::Fault;
use crate::part::Part;

/// How much of a frame goes on at once: what tungstenite reserves, and how much is copied in one go.
pub(crate) const PIECE_BYTES_MAX: usize = 4 * 1024;

/// Two bytes, a length of 8 and a mask of 4.
const HEAD_BYTES_MAX: usize = 14;

/// What a control frame may carry: [RFC 6455, section 5.5](https://www.rfc-editor.org/rfc/rfc6455#section-5.5).
const CONTROL_BYTES_MAX: u64 = 125;

/// Walks the frames of a peer; does no I/O and keeps nothing of their payload.
///
/// tungstenite reserves what a frame announces, and looks at its bytes when all of them are here. So a frame that is not
/// whole yet, or long, goes on as fragments of what has arrived: nothing is reserved ahead, and what is wrong fails at once.
/// A long message goes on as several [parts](Part).
pub(crate) struct Sieve {
    message_bytes_max: u32,
    fragments_max: u32,
    /// The beginning of a head whose rest has not arrived.
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: u8,
    /// The frame whose head was the last one, until all of it has gone on.
    frame: Option<Frame>,
    /// The message to which fragments belong, until its last one has gone on.
    message: Option<Message>,
}

/// A frame of which some has gone on.
struct Frame {
    header: FrameHeader,
    /// The bytes of its payload that have not.
    left: u64,
    /// Its head has not gone on.
    new: bool,
}

/// What has been announced of a message.
#[derive(Clone, Copy)]
struct Message {
    bytes: u64,
    fragments: u32,
    part: Part,
}

impl Message {
    fn new(kind: Data) -> Self {
        Self {
            bytes: 0,
            fragments: 0,
            part: Part::first(kind),
        }
    }
}

impl Sieve {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            message_bytes_max: limits.message_bytes_max,
            fragments_max: limits.fragments_max,
            head: [0; HEAD_BYTES_MAX],
            head_bytes: 0,
            frame: None,
            message: None,
        }
    }

    /// The largest message that passes.
    pub(crate) fn message_bytes_max(&self) -> u32 {
        self.message_bytes_max
    }

    /// Whether more is to come of the message to which the last piece of data belongs.
    pub(crate) fn is_within_message(&self) -> bool {
        self.message.is_some()
    }

    /// Whether the beginning of a message or of a frame has passed, and its end has not.
    pub(crate) fn is_inside(&self) -> bool {
        self.head_bytes > 0 || self.frame.is_some() || self.message.is_some()
    }

    /// Forgets what is half-way: the rest of it will not come through here.
    pub(crate) fn forget(&mut self) {
        (self.head_bytes, self.frame, self.message) = (0, None, None);
    }

    /// What of `bytes` goes on next; `None` when all of it has.
    ///
    /// # Errors
    ///
    /// What the peer must not send, as soon as the head is here.
    pub(crate) fn next<'b>(&mut self, bytes: &mut &'b [u8]) -> Result<Option<Piece<'b>>, Fault> {
        if self.frame.is_none() {
            let Some((header, left)) = self.parse(bytes)? else {
                return Ok(None);
            };
            self.admit(&header, left)?;
            let new = true;
            self.frame = Some(Frame { header, left, new });
        } else if bytes.is_empty() {
            return Ok(None);
        }
        Ok(self.cut(bytes))
    }

    /// Takes a head off the front, and the length that it announces.
    fn parse(&mut self, bytes: &mut &[u8]) -> Result<Option<(FrameHeader, u64)>, Fault> {
        if self.head_bytes == 0
            && let Some((header, length, head)) = parse(bytes)?
        {
            *bytes = &bytes[head..];
            return Ok(Some((header, length)));
        }
        while let Some((byte, rest)) = bytes.split_first() {
            *bytes = rest;
            self.head[usize::from(self.head_bytes)] = *byte;
            self.head_bytes += 1;
            if let Some((header, length, _)) = parse(&self.head[..usize::from(self.head_bytes)])? {
                self.head_bytes = 0;
                return Ok(Some((header, length)));
            }
        }
        Ok(None)
    }

    fn admit(&mut self, header: &FrameHeader, length: u64) -> Result<(), Fault> {
        let OpCode::Data(data) = header.opcode else {
            if length > CONTROL_BYTES_MAX {
                return Err(Fault::protocol("a control frame that is too long"));
            }
            if !header.is_final {
                return Err(Fault::protocol("a control frame in fragments"));
            }
            return Ok(());
        };
        let begun = match (data, self.message) {
            (Data::Continue, Some(message)) => message,
            // tungstenite may have seen the end of a part, and would take it for the end of the message.
            (_, Some(_)) => return Err(Fault::protocol("a message inside another one")),
            (_, None) => Message::new(data),
        };
        let message = Message {
            bytes: begun.bytes.saturating_add(length),
            fragments: begun.fragments.saturating_add(1),
            ..begun
        };
        if message.bytes > self.message_bytes_max.into() {
            return Err(Fault::too_large(message.bytes, self.message_bytes_max));
        }
        if message.fragments > self.fragments_max {
            return Err(Fault::too_many_fragments(self.fragments_max));
        }
        self.message = Some(message);
        Ok(())
    }

    /// Cuts the next piece of the frame off the front of `bytes`.
    fn cut<'b>(&mut self, bytes: &mut &'b [u8]) -> Option<Piece<'b>> {
        let frame = self.frame.as_mut()?;
        let part = self.message.as_mut().map(|message| &mut message.part);
        let piece = frame.cut(bytes, part);
        if frame.left == 0 {
            if frame.ends_message() {
                self.message = None;
            }
            self.frame = None;
        }
        Some(piece)
    }
}

impl Frame {
    fn cut<'b>(&mut self, bytes: &mut &'b [u8], part: Option<&mut Part>) -> Piece<'b> {
        let here = bytes.len().min(PIECE_BYTES_MAX);
        // It fits: it is not longer than what is here.
        let here = self.left.min(here as u64) as usize;
        let (opcode, length) = (self.header.opcode, self.left);
        let (now, kind) = match (opcode, part) {
            (OpCode::Data(data), Some(part)) => {
                let kind = part.kind(data);
                let (now, ends) = part.take(&bytes[..here], self.header.mask);
                (now, Some((kind, ends)))
            }
            _ => (here, None),
        };
        let (body, rest) = bytes.split_at(now);
        *bytes = rest;
        self.left -= now as u64;
        let piece = match kind {
            Some((kind, ends)) => self.fragment(body, kind, ends),
            // They are short, and must not be fragmented: tungstenite gathers them.
            None if self.new => Piece::new(&self.header, length, body),
            None => Piece::headless(body),
        };
        self.new = false;
        piece
    }

    /// A fragment of the bytes that are here, as the peer could have sent it; the last one when a part `ends` with it.
    fn fragment<'b>(&mut self, body: &'b [u8], kind: Data, ends: bool) -> Piece<'b> {
        let header = FrameHeader {
            is_final: ends || self.header.is_final && self.left == 0,
            opcode: OpCode::Data(kind),
            ..self.header.clone()
        };
        self.header = FrameHeader {
            opcode: OpCode::Data(Data::Continue),
            mask: self.header.mask.map(|mask| rotated(mask, body.len())),
            ..self.header.clone()
        };
        Piece::new(&header, body.len() as u64, body)
    }

    fn ends_message(&self) -> bool {
        self.header.is_final && matches!(self.header.opcode, OpCode::Data(_))
    }
}

/// The mask for what stands `bytes` bytes further on.
fn rotated(mut mask: [u8; 4], bytes: usize) -> [u8; 4] {
    mask.rotate_left(bytes % 4);
    mask
}

/// The head that `bytes` begin with, the length that it announces, and how long it is itself.
fn parse(bytes: &[u8]) -> Result<Option<(FrameHeader, u64, usize)>, Fault> {
    let mut cursor = Cursor::new(bytes);
    let Some((header, length)) = FrameHeader::parse(&mut cursor)? else {
        return Ok(None);
    };
    // It fits: there are no more than 14.
    let head = cursor.position() as usize;
    // RFC 6455, section 5.2: "the minimal number of bytes MUST be used to encode the length".
    if head != header.len(length) {
        return Err(Fault::protocol("a length in more bytes than it needs"));
    }
    Ok(Some((header, length, head)))
}

/// What goes on to tungstenite: a head, unless it has gone before, and bytes of a payload.
pub(crate) struct Piece<'b> {
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: u8,
    /// How much of the head has been read.
    head_read: u8,
    body: &'b [u8],
}

impl<'b> Piece<'b> {
    fn new(header: &FrameHeader, length: u64, body: &'b [u8]) -> Self {
        let mut head = [0; HEAD_BYTES_MAX];
        let mut room = &mut head[..];
        header
            .format(length, &mut room)
            .expect("there is room for the longest head");
        let head_bytes = (HEAD_BYTES_MAX - room.len()) as u8;
        Self {
            head,
            head_bytes,
            head_read: 0,
            body,
        }
    }

    pub(crate) const fn headless(body: &'b [u8]) -> Self {
        Self {
            head: [0; HEAD_BYTES_MAX],
            head_bytes: 0,
            head_read: 0,
            body,
        }
    }
}

impl Read for Piece<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut head = &self.head[usize::from(self.head_read)..usize::from(self.head_bytes)];
        let of_head = head.read(buffer)?;
        self.head_read += of_head as u8;
        let of_body = self.body.read(&mut buffer[of_head..])?;
        Ok(of_head + of_body)
    }
}
