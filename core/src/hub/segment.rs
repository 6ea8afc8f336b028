//! Encoded events, shared by all who must hear them.
//!
//! A segment is a piece of memory with whole framed messages in it. It is *open* while events are appended
//! and until its bytes are needed; then it is *frozen*, and the next event opens another one. Lanes hold slices of it as
//! two integers, so neighbouring slices join without touching the bytes.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::sync::{Arc, AtomicU64, AtomicUsize, Mutex, OnceLock, Ordering, Weak, lock};

/// A segment is closed when the next event would take it beyond this: what one write should carry at most.
const SEGMENT_BYTES_MAX: usize = 64 * 1024;

/// Segments that may be opened after one before what still waits in it may be copied out, so that a slow reader
/// of a few bytes does not keep all of it.
pub(crate) const GENERATIONS_KEPT: u64 = 8;

/// The bytes of all queues of a hub, live segments included.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicU64,
    max: u64,
}

impl Budget {
    pub(crate) fn new(max: u64) -> Self {
        Self {
            used: AtomicU64::new(0),
            max,
        }
    }

    pub(crate) fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether the hub is so close to its bound that the rest is for those who are here.
    pub(crate) fn is_nearly_over(&self) -> bool {
        self.used() > self.max - self.max / 8
    }

    /// Whether the hub holds more than it may.
    pub(crate) fn is_over(&self) -> bool {
        self.used() > self.max
    }
}

/// Whole framed messages; its bytes are there once it is frozen. Lives as long as a slice of it.
#[derive(Debug)]
pub(crate) struct Segment {
    bytes: OnceLock<Bytes>,
    generation: u64,
    /// Bytes taken from the budget.
    taken: AtomicUsize,
    budget: Arc<Budget>,
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.bytes.get().is_none() {
            self.budget.give_back(self.taken.load(Ordering::Relaxed));
        }
    }
}

/// Bytes that the budget gets back when nobody has them any more: no lane, and no transport that was given them.
struct Charged {
    bytes: Bytes,
    budget: Arc<Budget>,
}

impl Charged {
    fn bytes(bytes: impl Into<Bytes>, budget: &Arc<Budget>) -> Bytes {
        let (bytes, budget) = (bytes.into(), budget.clone());
        Bytes::from_owner(Self { bytes, budget })
    }
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes.len());
    }
}

/// Part of a segment: whole messages.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    segment: Arc<Segment>,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Slice {
    pub(crate) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether `next` begins where this ends.
    pub(crate) fn touches(&self, next: &Self) -> bool {
        self.end == next.start && Arc::ptr_eq(&self.segment, &next.segment)
    }

    /// The part from `start` to `end`, as offsets within this slice.
    pub(crate) fn part(&self, start: u32, end: u32) -> Self {
        Self {
            segment: self.segment.clone(),
            start: self.start + start,
            end: self.start + end,
        }
    }
}

/// Where events are appended: the open segment of a hub.
#[derive(Debug)]
pub(crate) struct Segments {
    open: Mutex<Open>,
    /// The generation of the newest segment.
    newest: AtomicU64,
    /// The same when all lanes were last asked to let go of old ones.
    swept: AtomicU64,
    budget: Arc<Budget>,
}

#[derive(Debug, Default)]
struct Open {
    segment: Weak<Segment>,
    buffer: Vec<u8>,
}

impl Segments {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self {
            open: Mutex::default(),
            newest: AtomicU64::new(0),
            swept: AtomicU64::new(0),
            budget,
        }
    }

    /// Whether so many segments came since the last time that lanes may be asked to let go of old ones; then this is the next time.
    pub(crate) fn is_worth_a_sweep(&self) -> bool {
        let (newest, swept) = (self.newest(), self.swept.load(Ordering::Relaxed));
        let is_worth = newest.saturating_sub(swept) >= GENERATIONS_KEPT;
        if is_worth {
            self.swept.store(newest, Ordering::Relaxed);
        }
        is_worth
    }

    /// Appends framed messages and says where they are.
    pub(crate) fn append(&self, framed: &[u8]) -> Slice {
        let mut open = lock(&self.open);
        if open.buffer.len() + framed.len() > SEGMENT_BYTES_MAX {
            open.freeze();
        }
        // Nobody needs an open segment any more when all its slices are gone.
        let segment = open
            .segment
            .upgrade()
            .unwrap_or_else(|| self.begin(&mut open));
        let start = open.buffer.len() as u32;
        open.buffer.extend_from_slice(framed);
        segment.taken.fetch_add(framed.len(), Ordering::Relaxed);
        self.budget.take(framed.len());
        Slice {
            segment,
            start,
            end: open.buffer.len() as u32,
        }
    }

    fn begin(&self, open: &mut Open) -> Arc<Segment> {
        let segment = Arc::new(Segment {
            bytes: OnceLock::new(),
            generation: self.newest.fetch_add(1, Ordering::Relaxed) + 1,
            taken: AtomicUsize::new(0),
            budget: self.budget.clone(),
        });
        open.segment = Arc::downgrade(&segment);
        open.buffer.clear();
        segment
    }

    /// The bytes of `slice`; freezes its segment if it is the open one.
    pub(crate) fn bytes(&self, slice: &Slice) -> Bytes {
        let range = slice.start as usize..slice.end as usize;
        if let Some(bytes) = slice.segment.bytes.get() {
            return bytes.slice(range);
        }
        let mut open = lock(&self.open);
        if open.segment.as_ptr() == Arc::as_ptr(&slice.segment) {
            open.freeze();
        }
        drop(open);
        slice
            .segment
            .bytes
            .get()
            .expect("a segment is either open or frozen")
            .slice(range)
    }

    /// Messages of one lane, counted in the hub's budget like all others.
    pub(crate) fn own(&self, bytes: Bytes) -> Bytes {
        self.budget.take(bytes.len());
        Charged::bytes(bytes, &self.budget)
    }

    /// Whether a lane should let go of the segment of `slice`: many came after it, and copies of all that is still
    /// needed of it take less than half of its room. What many lanes wait for is best kept once.
    pub(crate) fn is_wasted_on(&self, slice: &Slice) -> bool {
        let segment = &slice.segment;
        let needed = Arc::strong_count(segment).saturating_mul(slice.len());
        self.newest() - segment.generation >= GENERATIONS_KEPT
            && needed < segment.taken.load(Ordering::Relaxed) / 2
    }

    /// The generation of the newest segment: how many there have been.
    pub(crate) fn newest(&self) -> u64 {
        self.newest.load(Ordering::Relaxed)
    }
}

impl Open {
    fn freeze(&mut self) {
        if let Some(segment) = core::mem::take(&mut self.segment).upgrade() {
            // As many bytes as there are: a segment pins what the budget counts, no more.
            let bytes = core::mem::take(&mut self.buffer).into_boxed_slice();
            segment
                .bytes
                .set(Charged::bytes(bytes, &segment.budget))
                .expect("a segment is frozen once");
        }
    }
}
