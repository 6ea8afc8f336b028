//! Bytes: what the frames of the protocols are made of, and how to find something in them.

pub(crate) fn websocket_client_frame(
    operation: u8,
    payload: &[u8],
    mask: [u8; 4],
) -> (Vec<u8>, usize) {
    let mut frame = vec![0x80 | operation];
    if payload.len() < 126 {
        frame.push(0x80 | payload.len() as u8);
    } else if payload.len() < 65536 {
        frame.push(0x80 | 126);
        frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    } else {
        frame.push(0x80 | 127);
        frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    }
    frame.extend_from_slice(&mask);
    let offset = frame.len();
    frame.extend(
        payload
            .iter()
            .enumerate()
            .map(|(i, byte)| byte ^ mask[i & 3]),
    );
    (frame, offset)
}

pub(crate) fn websocket_server_length(payload: usize) -> usize {
    payload
        + if payload < 126 {
            2
        } else if payload < 65536 {
            4
        } else {
            10
        }
}

pub(crate) fn websocket_upgrade(path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\n\
         Host: 127.0.0.1\r\n\
         Connection: Upgrade\r\n\
         Upgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

pub(crate) fn mqtt_string(packet: &mut Vec<u8>, string: &[u8]) {
    packet.extend_from_slice(&(string.len() as u16).to_be_bytes());
    packet.extend_from_slice(string);
}

pub(crate) fn mqtt_packet(head: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![head];
    let mut length = body.len();
    loop {
        let mut byte = (length % 128) as u8;
        length /= 128;
        if length > 0 {
            byte |= 0x80
        }
        packet.push(byte);
        if length == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

pub(crate) fn from_hexadecimal(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

pub(crate) fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    if bytes.len() < pattern.len() {
        return None;
    }
    unsafe {
        let found = libc::memmem(
            bytes.as_ptr() as _,
            bytes.len(),
            pattern.as_ptr() as _,
            pattern.len(),
        );
        if found.is_null() {
            None
        } else {
            Some(found as usize - bytes.as_ptr() as usize)
        }
    }
}
