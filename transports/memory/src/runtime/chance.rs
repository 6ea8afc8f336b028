//! Draws that are the same on machines of every word size and byte order.

use fastrand::Rng;

/// A number below `count`, which is not zero.
pub(super) fn below(dice: &mut Rng, count: usize) -> usize {
    dice.u64(..count as u64) as usize
}

pub(super) fn fill(dice: &mut Rng, bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(8) {
        let drawn = dice.u64(..).to_le_bytes();
        chunk.copy_from_slice(&drawn[..chunk.len()]);
    }
}
