//! Connections: opened with the handshake of a script, one or very many.

use std::io::{Error, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use crate::bytes::find;
use crate::options::Options;
use crate::script::Step;

pub(crate) fn connect(address: SocketAddr, steps: &[Step], id: u64) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    run_steps(&mut stream, steps, id)?;
    Ok(stream)
}

fn run_steps(stream: &mut TcpStream, steps: &[Step], id: u64) -> Result<()> {
    let mut received = vec![];
    let mut buffer = [0u8; 4096];
    for step in steps {
        if let Step::Send(data) = step {
            stream.write_all(&unique(data, id))?;
        } else if !read_answer(stream, step, &mut received, &mut buffer)? {
            return Err(closed(step, &received));
        }
    }
    Ok(())
}

/// Whether the answer came before the connection was closed.
fn read_answer(
    stream: &mut TcpStream,
    step: &Step,
    received: &mut Vec<u8>,
    buffer: &mut [u8],
) -> Result<bool> {
    loop {
        if let Some(length) = step.answer(received) {
            received.drain(..length);
            return Ok(true);
        }
        let length = stream.read(buffer)?;
        if length == 0 {
            return Ok(false);
        }
        received.extend_from_slice(&buffer[..length]);
    }
}

fn closed(step: &Step, received: &[u8]) -> Error {
    if let Step::ExpectLength(_) = step {
        return Error::other("closed during handshake");
    }
    let received = String::from_utf8_lossy(received);
    Error::other(format!("closed during handshake, have {received:?}"))
}

fn unique(data: &[u8], id: u64) -> Vec<u8> {
    let mut data = data.to_vec();
    // Topics of a subscriber stand one after the other.
    let mut topic = id;
    while let Some(i) = find(&data, b"####") {
        data[i..i + 4].copy_from_slice(format!("{:04}", topic % 1_000).as_bytes());
        topic += 1;
    }
    if let Some(i) = find(&data, b"@@@@@@@@@@@@") {
        data[i..i + 12].copy_from_slice(format!("c{:011}", id % 100_000_000_000).as_bytes());
    }
    data
}

pub(crate) struct Opened {
    /// Empty if they were not to be kept.
    pub(crate) streams: Vec<TcpStream>,
    pub(crate) seconds: f64,
    pub(crate) count: u64,
}

/// open many connections with bounded concurrency; returns the sockets
pub(crate) fn open_many(options: &Options, steps: &[Step], keep: bool) -> Opened {
    let start = Instant::now();
    let mut streams = vec![];
    let mut count = 0;
    while count < options.subscribers as u64 {
        let size = options
            .concurrency
            .min(options.subscribers - count as usize);
        let mut batch = open_batch(options.address, size, steps, count);
        count += size as u64;
        if keep {
            streams.append(&mut batch);
        } else {
            batch.into_iter().for_each(reset);
        }
    }
    Opened {
        streams,
        seconds: start.elapsed().as_secs_f64(),
        count,
    }
}

fn open_batch(address: SocketAddr, size: usize, steps: &[Step], id: u64) -> Vec<TcpStream> {
    // several handshakes in flight: write the step for all, then read for all
    let mut batch: Vec<TcpStream> = (0..size).map(|_| open(address)).collect();
    let mut received: Vec<Vec<u8>> = vec![vec![]; size];
    for step in steps {
        for (i, stream) in batch.iter_mut().enumerate() {
            if let Step::Send(data) = step {
                stream.write_all(&unique(data, id + i as u64)).unwrap();
            } else {
                let answered = read_answer(stream, step, &mut received[i], &mut [0u8; 2048]);
                assert!(answered.expect("handshake read"), "closed during handshake");
            }
        }
    }
    batch
}

fn open(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connect");
    stream.set_nodelay(true).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

/// Closes without the states of TCP that stay behind.
fn reset(stream: TcpStream) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            &linger as *const _ as _,
            std::mem::size_of::<libc::linger>() as u32,
        )
    };
}
