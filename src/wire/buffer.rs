//! Byte buffers that are borrowed while a peer is talking and given back when it falls silent, so
//! that an idle connection holds none.

use std::cell::RefCell;

/// Size of a pooled buffer. Most commands and replies fit; larger ones are passed on in pieces.
pub const BUFFER_BYTES: usize = 16 * 1024;

/// Buffers a thread keeps at hand. More are freed: after a burst the memory goes back.
const KEPT_MAX: usize = 64;

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A queue of bytes in one contiguous block: filled at the back, consumed at the front.
///
/// The block is borrowed from the thread's pool at the first byte and returned with the last.
#[derive(Debug, Default)]
pub struct Buffer {
    block: Option<Box<[u8]>>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// The bytes held.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        self.block.as_deref().map_or(&[], |block| &block[self.start..self.end])
    }

    /// The bytes held, to be changed in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        let (start, end) = (self.start, self.end);
        self.block.as_deref_mut().map_or(&mut [], |block| &mut block[start..end])
    }

    /// Number of bytes held.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether no byte is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Drops the first `n` bytes; the block goes back to the pool when none is left.
    pub fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.len(), "consumed more than was filled");
        self.start = (self.start + n).min(self.end);
        if self.is_empty() {
            self.release();
        }
    }

    /// Room for at least one byte at the back (borrowing a block, moving or growing it as needed), and
    /// for `wanted` bytes in all if the caller knows how many it waits for.
    pub fn spare(&mut self, wanted: usize) -> &mut [u8] {
        let need = wanted.max(self.len() + 1);
        let block = self.block.get_or_insert_with(borrow);
        if block.len() < need {
            let mut larger = vec![0; need.next_power_of_two()].into_boxed_slice();
            larger[..self.end - self.start].copy_from_slice(&block[self.start..self.end]);
            give_back(std::mem::replace(block, larger));
            self.end -= self.start;
            self.start = 0;
        } else if self.start > 0 && (self.end == block.len() || self.start + need > block.len()) {
            block.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut block[self.end..]
    }

    /// Marks `n` bytes of the last [`Buffer::spare`] as filled.
    pub fn advance(&mut self, n: usize) {
        self.end += n;
        debug_assert!(self.block.as_ref().is_some_and(|block| self.end <= block.len()));
    }

    /// Appends `bytes`.
    pub fn push(&mut self, bytes: &[u8]) {
        let wanted = self.len() + bytes.len();
        self.spare(wanted)[..bytes.len()].copy_from_slice(bytes);
        self.advance(bytes.len());
    }

    /// Appends all `pieces`.
    pub fn push_all(&mut self, pieces: &[&[u8]]) {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut rest = self.spare(self.len() + length);
        for piece in pieces {
            let (room, after) = rest.split_at_mut(piece.len());
            room.copy_from_slice(piece);
            rest = after;
        }
        self.advance(length);
    }

    /// Gives an empty buffer's block back to the pool.
    pub fn release(&mut self) {
        if self.is_empty() {
            if let Some(block) = self.block.take() {
                give_back(block);
            }
            self.start = 0;
            self.end = 0;
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            give_back(block);
        }
    }
}

fn borrow() -> Box<[u8]> {
    POOL.try_with(|pool| pool.borrow_mut().pop())
        .ok()
        .flatten()
        .unwrap_or_else(|| vec![0; BUFFER_BYTES].into_boxed_slice())
}

fn give_back(block: Box<[u8]>) {
    if block.len() != BUFFER_BYTES {
        return;
    }
    // During thread exit the pool may be gone: the block is then simply freed.
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < KEPT_MAX {
            pool.push(block);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_across_growth_and_moves() {
        let mut buffer = Buffer::default();
        let text: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
        let mut seen = Vec::new();
        for piece in text.chunks(7_001) {
            buffer.push(piece);
            let n = buffer.len() / 2;
            seen.extend_from_slice(&buffer.filled()[..n]);
            buffer.consume(n);
        }
        seen.extend_from_slice(buffer.filled());
        assert_eq!(seen, text);
    }

    #[test]
    fn an_empty_buffer_holds_no_block() {
        let mut buffer = Buffer::default();
        buffer.push(b"x");
        assert!(buffer.block.is_some());
        buffer.consume(1);
        assert!(buffer.block.is_none());
    }
}
