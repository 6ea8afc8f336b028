//! Polling: epoll, and what is read from a socket without a stream between.

use std::net::TcpStream;
use std::os::fd::AsRawFd;

pub(crate) struct Poll {
    descriptor: i32,
    events: Vec<libc::epoll_event>,
}

impl Poll {
    pub(crate) fn new() -> Self {
        let descriptor = unsafe { libc::epoll_create1(0) };
        Poll {
            descriptor,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; 1024],
        }
    }

    pub(crate) fn add(&self, stream: &TcpStream, key: usize) {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: key as u64,
        };
        let (descriptor, socket) = (self.descriptor, stream.as_raw_fd());
        let result =
            unsafe { libc::epoll_ctl(descriptor, libc::EPOLL_CTL_ADD, socket, &mut event) };
        assert_eq!(result, 0);
    }

    pub(crate) fn remove(&self, stream: &TcpStream) {
        let (socket, event) = (stream.as_raw_fd(), std::ptr::null_mut());
        unsafe { libc::epoll_ctl(self.descriptor, libc::EPOLL_CTL_DEL, socket, event) };
    }

    /// How many events there are.
    pub(crate) fn wait(&mut self, milliseconds: i32) -> usize {
        let events = self.events.as_mut_ptr();
        let count = unsafe { libc::epoll_wait(self.descriptor, events, 1024, milliseconds) };
        count.max(0) as usize
    }

    /// Whose event this is.
    pub(crate) fn key(&self, event: usize) -> usize {
        self.events[event].u64 as usize
    }
}

pub(crate) fn receive(stream: &TcpStream, buffer: &mut [u8], flags: i32) -> isize {
    let socket = stream.as_raw_fd();
    unsafe { libc::recv(socket, buffer.as_mut_ptr() as _, buffer.len(), flags) }
}
