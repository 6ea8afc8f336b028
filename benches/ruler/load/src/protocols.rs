//! Protocols: the scripts that are known here, each made for a length of payload.

use crate::bytes::{
    mqtt_packet, mqtt_string, websocket_client_frame, websocket_server_length, websocket_upgrade,
};
use crate::latency::MARK;
use crate::script::Step::{Expect, ExpectLength, Send};
use crate::script::{read_script, Script};

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) fn script(protocol: &str, length: usize, keepalive: u16) -> Script {
    let payload = payload(length);
    if let Some(file) = protocol.strip_prefix("script:") {
        return read_script(&std::fs::read_to_string(file).expect("script file"));
    }
    let mut script = match protocol {
        "tcp" => tcp(&payload),
        "ws" => websocket(&payload),
        "sio" => socket_io(&payload),
        "nats" => nats(&payload),
        "redis" => redis(&payload),
        "mqtt" => mqtt(&payload, keepalive),
        x => panic!("unknown proto {x}"),
    };
    // Raw servers look into the payload.
    script.topic = Some(script.offset + 24);
    script
}

fn payload(length: usize) -> Vec<u8> {
    assert!(length >= 24, "payload must be at least 24 bytes");
    let mut payload = vec![b'x'; length];
    payload[..8].copy_from_slice(MARK);
    payload[8..24].copy_from_slice(b"0000000000000000");
    payload
}

fn tcp(payload: &[u8]) -> Script {
    let hello = |role: u8| vec![Send(vec![1, 0, 0, 0, role]), ExpectLength(5)];
    let mut frame = (payload.len() as u32).to_le_bytes().to_vec();
    frame.extend_from_slice(payload);
    Script {
        subscriber: hello(b'S'),
        publisher: hello(b'P'),
        both: hello(b'B'),
        frame,
        offset: 4,
        deliver: 4 + payload.len(),
        pong: vec![(vec![1, 0, 0, 0, b'p'], vec![1, 0, 0, 0, b'q'])],
        ..Default::default()
    }
}

fn websocket(payload: &[u8]) -> Script {
    let hello = |path: &str| vec![Send(websocket_upgrade(path)), Expect(b"\r\n\r\n".to_vec())];
    let (frame, offset) = websocket_client_frame(2, payload, MASK);
    Script {
        subscriber: hello("/sub"),
        publisher: hello("/pub"),
        both: hello("/both"),
        frame,
        offset,
        mask: Some(MASK),
        deliver: websocket_server_length(payload.len()),
        pong: vec![(vec![0x89, 0x00], websocket_client_frame(0xA, b"", MASK).0)],
        ..Default::default()
    }
}

fn socket_io(payload: &[u8]) -> Script {
    let text = |text: &str| websocket_client_frame(1, text.as_bytes(), MASK).0;
    let hello = |role: &str| {
        vec![
            Send(websocket_upgrade("/socket.io/?EIO=4&transport=websocket")),
            Expect(b"pingInterval".to_vec()),
            Send(text("40")),
            Expect(b"40{".to_vec()),
            Send(text(&format!("42[\"role\",\"{role}\"]"))),
            Expect(b"42[\"ok\"".to_vec()),
        ]
    };
    let mut body = b"42[\"pub\",\"".to_vec();
    let o = body.len();
    body.extend_from_slice(payload);
    body.extend_from_slice(b"\"]");
    let (frame, off) = websocket_client_frame(1, &body, MASK);
    Script {
        subscriber: hello("sub"),
        publisher: hello("pub"),
        both: hello("both"),
        frame,
        offset: off + o,
        // keep the mask phase of the payload: off+o must be masked with phase o
        mask: Some([
            MASK[o & 3],
            MASK[(o + 1) & 3],
            MASK[(o + 2) & 3],
            MASK[(o + 3) & 3],
        ]),
        deliver: websocket_server_length(b"42[\"m\",\"".len() + payload.len() + 2),
        pong: vec![(b"\x81\x012".to_vec(), text("3"))],
        ..Default::default()
    }
}

fn nats(payload: &[u8]) -> Script {
    let length = payload.len();
    let hello = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":true,\"lang\":\"raw\",\
        \"version\":\"1\",\"protocol\":1}\r\nPING\r\n";
    let publisher = vec![Send(hello.to_vec()), Expect(b"PONG\r\n".to_vec())];
    let mut subscriber = publisher.clone();
    subscriber.push(Send(b"SUB bench 1\r\nPING\r\n".to_vec()));
    subscriber.push(Expect(b"PONG\r\n".to_vec()));
    let mut frame = format!("PUB bench {length}\r\n").into_bytes();
    let offset = frame.len();
    frame.extend_from_slice(payload);
    frame.extend_from_slice(b"\r\n");
    Script {
        both: subscriber.clone(),
        subscriber,
        publisher,
        frame,
        offset,
        deliver: format!("MSG bench 1 {length}\r\n").len() + length + 2,
        pong: vec![(b"PING\r\n".to_vec(), b"PONG\r\n".to_vec())],
        ..Default::default()
    }
}

fn redis(payload: &[u8]) -> Script {
    let length = payload.len();
    let subscribe = [
        Send(b"*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\nbench\r\n".to_vec()),
        Expect(b":1\r\n".to_vec()),
    ];
    let mut both = vec![Send(b"HELLO 3\r\n".to_vec()), Expect(b"modules".to_vec())];
    both.extend_from_slice(&subscribe);
    let mut frame = format!("*3\r\n$7\r\nPUBLISH\r\n$5\r\nbench\r\n${length}\r\n").into_bytes();
    let offset = frame.len();
    frame.extend_from_slice(payload);
    frame.extend_from_slice(b"\r\n");
    let head = format!("*3\r\n$7\r\nmessage\r\n$5\r\nbench\r\n${length}\r\n");
    let deliver = head.len() + length + 2;
    Script {
        subscriber: subscribe.to_vec(),
        publisher: vec![Send(b"PING\r\n".to_vec()), Expect(b"PONG\r\n".to_vec())],
        both,
        frame,
        offset,
        deliver,
        ..Default::default()
    }
}

fn mqtt(payload: &[u8], keepalive: u16) -> Script {
    let mut connect = vec![];
    mqtt_string(&mut connect, b"MQTT");
    connect.extend_from_slice(&[4, 2]);
    connect.extend_from_slice(&keepalive.to_be_bytes());
    mqtt_string(&mut connect, b"@@@@@@@@@@@@"); // replaced by a unique client id
    let publisher = vec![Send(mqtt_packet(0x10, &connect)), ExpectLength(4)];
    let mut subscribe = vec![0, 1];
    mqtt_string(&mut subscribe, b"bench");
    subscribe.push(0);
    let mut subscriber = publisher.clone();
    subscriber.push(Send(mqtt_packet(0x82, &subscribe)));
    subscriber.push(ExpectLength(5));
    let mut publish = vec![];
    mqtt_string(&mut publish, b"bench");
    publish.extend_from_slice(payload);
    let frame = mqtt_packet(0x30, &publish);
    Script {
        both: subscriber.clone(),
        subscriber,
        publisher,
        offset: frame.len() - payload.len(),
        deliver: frame.len(),
        frame,
        client_ping: Some(vec![0xC0, 0]),
        ..Default::default()
    }
}
