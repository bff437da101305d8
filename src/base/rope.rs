//! Bytes in pieces: text of our own with shared bytes between. A large answer from cache is sent so without being copied:
//! the kernel takes the pieces one after the other.

use std::io::IoSlice;

use bytes::Buf;
use bytes::Bytes;

/// Shorter shared bytes are copied: several pieces cost the kernel more than that (measured with three of 1 KiB).
const SHARE_FROM_BYTES: usize = 16 * 1024;

/// Pieces in order, read as a [`Buf`].
#[derive(Debug, Default)]
pub(crate) struct Rope {
    /// Our own text, all of it in one buffer.
    text: Vec<u8>,
    /// Where shared bytes stand between: after this many bytes of the text.
    shared: Vec<(usize, Bytes)>,
    /// The piece being read: an even one is text, an odd one shared.
    piece: usize,
    /// How much of that piece was read.
    read: usize,
    /// What is left of the whole.
    left: usize,
}

impl Rope {
    /// An empty one, with room for text.
    pub(crate) fn with_capacity(text: usize) -> Self {
        Self { text: Vec::with_capacity(text), ..Self::default() }
    }

    /// Adds text.
    pub(crate) fn push(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
        self.left += text.len();
    }

    /// Adds bytes that others hold too.
    pub(crate) fn push_shared(&mut self, bytes: &Bytes) {
        if Self::room(bytes.len()) > 0 || bytes.is_empty() {
            self.push(bytes);
        } else {
            self.shared.push((self.text.len(), bytes.clone()));
            self.left += bytes.len();
        }
    }

    /// How much room bytes of this length take in the text.
    pub(crate) fn room(shared: usize) -> usize {
        if shared < SHARE_FROM_BYTES { shared } else { 0 }
    }

    /// How many bytes are left.
    pub(crate) fn len(&self) -> usize {
        self.left
    }

    /// What is left, in one piece: copied only where there are several.
    pub(crate) fn into_vec(mut self) -> Vec<u8> {
        if self.shared.is_empty() && self.read == 0 {
            return self.text;
        }
        let mut whole = Vec::with_capacity(self.left);
        while self.has_remaining() {
            let chunk = self.chunk();
            whole.extend_from_slice(chunk);
            self.advance(chunk.len());
        }
        whole
    }

    /// The piece at a place; `None` past the last one.
    fn piece(&self, at: usize) -> Option<&[u8]> {
        let index = at / 2;
        if at % 2 == 1 {
            return self.shared.get(index).map(|(_, bytes)| &bytes[..]);
        }
        let from = match index.checked_sub(1) {
            None => 0,
            Some(before) => self.shared.get(before)?.0,
        };
        let to = self.shared.get(index).map_or(self.text.len(), |(at, _)| *at);
        self.text.get(from..to)
    }
}

impl Buf for Rope {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        let rest = |at, read| self.piece(at).and_then(|piece| piece.get(read..)).unwrap_or_default();
        let mut chunk = rest(self.piece, self.read);
        let mut at = self.piece;
        // An empty chunk would mean the end.
        while chunk.is_empty() && self.left > 0 && at <= 2 * self.shared.len() {
            at += 1;
            chunk = rest(at, 0);
        }
        chunk
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let mut read = self.read;
        for at in self.piece..=2 * self.shared.len() {
            let Some(slice) = slices.get_mut(filled) else { break };
            let rest = self.piece(at).and_then(|piece| piece.get(read..)).unwrap_or_default();
            read = 0;
            if !rest.is_empty() {
                *slice = IoSlice::new(rest);
                filled += 1;
            }
        }
        filled
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.left, "a rope of {} bytes can't be advanced by {count}", self.left);
        self.left -= count;
        self.read += count;
        while let Some(length) = self.piece(self.piece).map(<[u8]>::len)
            && self.read >= length
            && self.piece < 2 * self.shared.len()
        {
            self.read -= length;
            self.piece += 1;
        }
    }
}

impl From<Vec<u8>> for Rope {
    fn from(text: Vec<u8>) -> Self {
        Self { left: text.len(), text, ..Self::default() }
    }
}

impl From<Bytes> for Rope {
    fn from(bytes: Bytes) -> Self {
        Self { left: bytes.len(), shared: vec![(0, bytes)], ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn built(pieces: &[(bool, Vec<u8>)]) -> (Rope, Vec<u8>) {
        let mut rope = Rope::with_capacity(0);
        let mut plain = Vec::new();
        for (shared, piece) in pieces {
            if *shared {
                rope.push_shared(&Bytes::from(piece.clone()))
            } else {
                rope.push(piece)
            }
            plain.extend_from_slice(piece);
        }
        (rope, plain)
    }

    proptest! {
        #[test]
        fn read_in_any_steps_it_is_what_was_written(
            pieces in prop::collection::vec((any::<bool>(), 0..2 * SHARE_FROM_BYTES), 0..8),
            steps in prop::collection::vec(1usize..9_000, 1..20),
        ) {
            let pieces: Vec<_> = pieces.iter().enumerate().map(|(at, (shared, length))| {
                let mut piece = vec![0; *length];
                piece.iter_mut().zip((at..).step_by(7)).for_each(|(byte, n)| *byte = u8::try_from(n % 251).unwrap());
                (*shared, piece)
            }).collect();
            let (mut rope, plain) = built(&pieces);
            let mut read = Vec::new();
            let mut steps = steps.iter().cycle();
            while rope.has_remaining() {
                prop_assert!(!rope.chunk().is_empty());
                let mut slices = [IoSlice::new(&[]); 3];
                let filled = rope.chunks_vectored(&mut slices);
                let offered: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                prop_assert!(offered.starts_with(rope.chunk()));
                let step = offered.len().min(*steps.next().unwrap());
                read.extend_from_slice(&offered[..step]);
                rope.advance(step);
            }
            prop_assert_eq!(rope.chunk(), b"");
            prop_assert_eq!(&read, &plain);
            prop_assert_eq!(built(&pieces).0.into_vec(), plain);
        }
    }

    #[test]
    fn long_shared_bytes_are_not_copied() {
        let long = Bytes::from(vec![b'x'; SHARE_FROM_BYTES]);
        let mut rope = Rope::with_capacity(16);
        rope.push(b"[");
        rope.push_shared(&long);
        rope.push(b"]");
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(rope.chunks_vectored(&mut slices), 3);
        assert_eq!(slices[1].as_ptr(), long.as_ptr());
        assert_eq!(rope.len(), SHARE_FROM_BYTES + 2);
    }

    #[test]
    fn text_alone_is_given_back_without_a_copy() {
        let text = b"text".to_vec();
        let at = text.as_ptr();
        let back = Rope::from(text).into_vec();
        assert_eq!(back.as_ptr(), at);
    }
}
