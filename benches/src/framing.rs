//! Messages as they are on the wire, for load generators: written here once more, so that lapwing's own framing is tried by another.

/// What a message travels in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A length in front, in 4 bytes.
    Tcp,
    /// A frame of [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455#section-5.2), masked from a client.
    WebSocket,
}

/// What a client masks with. It should differ each time for the sake of proxies, and there is none.
pub const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// How a client begins over WebSocket.
pub const UPGRADE: &str = "GET /bench HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: lapwing.postcard\r\n\r\n";

/// The opcodes of WebSocket that are of use here.
pub mod opcode {
    /// A message of bytes.
    pub const BINARY: u8 = 2;
    /// The last words.
    pub const CLOSE: u8 = 8;
    /// To be answered by a [`PONG`].
    pub const PING: u8 = 9;
    /// The answer to a [`PING`].
    pub const PONG: u8 = 10;
}

/// A piece of what arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived<'a> {
    /// What it is; [`opcode::BINARY`] over TCP.
    pub opcode: u8,
    /// What it carries.
    pub bytes: &'a [u8],
    /// How much of the bytes it took.
    pub taken: usize,
}

impl Transport {
    /// A transport by its name: `tcp`, `ws`.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "tcp" => Some(Self::Tcp),
            "ws" => Some(Self::WebSocket),
            _ => None,
        }
    }

    /// Its name, as in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::WebSocket => "ws",
        }
    }

    /// A message as a client sends it.
    pub fn from_client(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Tcp => with_length(message),
            Self::WebSocket => masked(opcode::BINARY, message),
        }
    }

    /// A message as a hub sends it.
    pub fn from_hub(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Tcp => with_length(message),
            Self::WebSocket => {
                let mut frame = head(opcode::BINARY, message.len(), 0);
                frame.extend_from_slice(message);
                frame
            }
        }
    }

    /// The first piece of what a hub has sent; `None` while it is not whole.
    pub fn first(self, bytes: &[u8]) -> Option<Arrived<'_>> {
        let (opcode, start, length) = match self {
            Self::Tcp => {
                let length = u32::from_be_bytes(*bytes.first_chunk()?);
                (opcode::BINARY, 4, length as usize)
            }
            Self::WebSocket => {
                let [first, second] = *bytes.first_chunk()?;
                let rest = &bytes[2..];
                let (start, length) = match second & 0x7f {
                    126 => (4, u64::from(u16::from_be_bytes(*rest.first_chunk()?))),
                    127 => (10, u64::from_be_bytes(*rest.first_chunk()?)),
                    length => (2, length.into()),
                };
                (first & 0x0f, start, usize::try_from(length).ok()?)
            }
        };
        let taken = start + length;
        Some(Arrived {
            opcode,
            bytes: bytes.get(start..taken)?,
            taken,
        })
    }
}

/// A frame of a WebSocket client.
pub fn masked(opcode: u8, bytes: &[u8]) -> Vec<u8> {
    let mut frame = head(opcode, bytes.len(), 0x80);
    frame.extend_from_slice(&MASK);
    let mask = MASK.iter().cycle();
    frame.extend(bytes.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    frame
}

fn head(opcode: u8, length: usize, mask_bit: u8) -> Vec<u8> {
    let first = 0x80 | opcode;
    match length {
        0..126 => vec![first, mask_bit | length as u8],
        126..0x1_0000 => {
            let [high, low] = (length as u16).to_be_bytes();
            vec![first, mask_bit | 126, high, low]
        }
        _ => {
            let mut head = vec![first, mask_bit | 127];
            head.extend((length as u64).to_be_bytes());
            head
        }
    }
}

fn with_length(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message");
    [&length.to_be_bytes()[..], message].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hub_sends_is_found_again_when_it_is_whole() {
        for transport in [Transport::Tcp, Transport::WebSocket] {
            for length in [0, 1, 125, 126, 65_535, 65_536] {
                let message = vec![7; length];
                let frame = transport.from_hub(&message);
                for part in [0, 1, frame.len() / 2, frame.len() - 1] {
                    assert_eq!(transport.first(&frame[..part]), None);
                }
                let expected = Arrived {
                    opcode: opcode::BINARY,
                    bytes: &message,
                    taken: frame.len(),
                };
                let more = [&frame[..], b"more"].concat();
                assert_eq!(transport.first(&more), Some(expected));
            }
        }
    }

    #[test]
    fn a_client_masks_as_the_rfc_shows() {
        // RFC 6455, section 5.7, has a masked text.
        let mut expected = vec![0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d];
        expected.extend([0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        assert_eq!(masked(1, b"Hello"), expected);
    }
}
