//! The round trip: one connection that hears itself, one event at a time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::bytes::find;
use crate::connection::connect;
use crate::latency::{nanoseconds, percentile, stamp, MARK};
use crate::options::Options;
use crate::protocols::script;
use crate::usage::{spent, Spent};

/// What stands at one time.
struct Reading {
    at: Instant,
    server: Spent,
    load: Spent,
}

pub(crate) fn round_trip(options: &Options) {
    let script = script(&options.protocol, options.payload, options.keepalive);
    let mut stream = connect(options.address, &script.both, 7).expect("handshake");
    stream
        .set_read_timeout(Some(Duration::from_secs(3)))
        .unwrap();
    let mut frame = script.frame.clone();
    let mut buffer = vec![0u8; 1 << 17];
    let mut received = vec![];
    let mut latencies = vec![];
    let start = Instant::now();
    let mut begin = None;
    loop {
        let elapsed = start.elapsed().as_secs_f64();
        if begin.is_none() && elapsed >= options.warm_up {
            latencies.clear();
            begin = Some(reading(options));
        }
        if elapsed >= options.warm_up + options.seconds {
            break;
        }
        stamp(&mut frame, script.offset, script.mask);
        let sent = nanoseconds();
        stream.write_all(&frame).unwrap();
        read_reply(&mut stream, &mut received, &mut buffer, options.payload);
        latencies.push(((nanoseconds() - sent) / 10) as u32);
    }
    report(options, begin.unwrap(), latencies);
}

fn reading(options: &Options) -> Reading {
    Reading {
        at: Instant::now(),
        server: spent(options.process),
        load: spent(std::process::id()),
    }
}

fn read_reply(stream: &mut TcpStream, received: &mut Vec<u8>, buffer: &mut [u8], payload: usize) {
    received.clear();
    loop {
        let length = stream.read(buffer).expect("echo");
        assert!(length > 0, "closed");
        received.extend_from_slice(&buffer[..length]);
        // the reply is here when marker and the whole payload after it are here
        if let Some(i) = find(received, MARK) {
            if received.len() - i >= payload {
                break;
            }
        }
    }
}

fn report(options: &Options, begin: Reading, mut latencies: Vec<u32>) {
    let end = reading(options);
    let seconds = (end.at - begin.at).as_secs_f64();
    let server = end.server.since(begin.server).nanoseconds as f64;
    let load = end.load.since(begin.load).nanoseconds as f64;
    let count = latencies.len() as f64;
    print!(
        r#"{{"test":"rtt","name":"{}","proto":"{}","payload":{},"rt_s":{:.0},"#,
        options.name,
        options.protocol,
        options.payload,
        count / seconds,
    );
    println!(
        r#""p50_us":{:.2},"p99_us":{:.2},"srv_us_msg":{:.3},"cli_us_msg":{:.3}}}"#,
        percentile(&mut latencies, 0.5),
        percentile(&mut latencies, 0.99),
        server / 1e3 / count,
        load / 1e3 / count,
    );
}
