//! What a board would have: a start, a clock, bytes in and out, and a place to go when all is lost.
//!
//! The only unsafe lines of the program, and the only ones to replace on a chip.

use core::ffi::{c_int, c_long, c_short, c_ulong, c_void};
use core::panic::PanicInfo;
use core::time::Duration;

use lapwing::Instant;
use lapwing_embedded::{Broken, Link};

use crate::{Exit, run};

#[link(name = "c")]
unsafe extern "C" {
    fn read(file: c_int, into: *mut c_void, bytes: usize) -> isize;
    fn write(file: c_int, from: *const c_void, bytes: usize) -> isize;
    fn poll(files: *mut PollFile, count: c_ulong, milliseconds: c_int) -> c_int;
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    fn _exit(code: c_int) -> !;
}

const INPUT: c_int = 0;
const OUTPUT: c_int = 1;
const POLLIN: c_short = 1;
const CLOCK_MONOTONIC: c_int = 1;

/// As a panic of a program with std has it.
const PANICKED: c_int = 101;

#[repr(C)]
struct PollFile {
    file: c_int,
    wanted: c_short,
    found: c_short,
}

#[repr(C)]
struct Timespec {
    seconds: c_long,
    nanoseconds: c_long,
}

/// Standard input and output as a link.
pub struct Stdio;

impl Link for Stdio {
    fn now(&mut self) -> Instant {
        let mut time = Timespec {
            seconds: 0,
            nanoseconds: 0,
        };
        // SAFETY: `time` is writable and has the layout of C's `timespec` on 64-bit Linux.
        unsafe { clock_gettime(CLOCK_MONOTONIC, &raw mut time) };
        Instant::from_micros(time.seconds as u64 * 1_000_000 + time.nanoseconds as u64 / 1_000)
    }

    fn read(
        &mut self,
        into: &mut [u8],
        deadline: Option<Instant>,
    ) -> Result<Option<usize>, Broken> {
        let left = deadline.map(|deadline| deadline.since(self.now()));
        if !readable(left)? {
            return Ok(None);
        }
        // SAFETY: `into` is writable in its whole length.
        let bytes = unsafe { read(INPUT, into.as_mut_ptr().cast(), into.len()) };
        usize::try_from(bytes).map(Some).map_err(|_| Broken)
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), Broken> {
        while !bytes.is_empty() {
            // SAFETY: `bytes` is readable in its whole length.
            let written = unsafe { write(OUTPUT, bytes.as_ptr().cast(), bytes.len()) };
            let written = usize::try_from(written).map_err(|_| Broken)?;
            bytes = bytes.get(written..).ok_or(Broken)?;
        }
        Ok(())
    }
}

/// Whether there is something to read, at the latest after the time that is left.
fn readable(left: Option<Duration>) -> Result<bool, Broken> {
    // Rounded up: whoever wakes up early would find nothing to do.
    let milliseconds = left.map_or(-1, |left| {
        c_int::try_from(left.as_millis() + 1).unwrap_or(c_int::MAX)
    });
    let mut input = PollFile {
        file: INPUT,
        wanted: POLLIN,
        found: 0,
    };
    // SAFETY: `input` is one `pollfd`, and the count says one.
    match unsafe { poll(&raw mut input, 1, milliseconds) } {
        ..0 => Err(Broken),
        0 => Ok(false),
        1.. => Ok(true),
    }
}

/// Called by the C runtime.
#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    let exit = run().err().unwrap_or(Exit::Done);
    exit as c_int
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: never returns and needs nothing.
    unsafe { _exit(PANICKED) }
}

/// Named by core as it comes with the compiler, which could unwind; without optimisation the linker wants to see it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
