//! Cuts a stream of bytes into chunks of whole lines.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memrchr};
use tidegate_pipeline::rows::MAX_RAW;
use xxhash_rust::xxh3::Xxh3;

use super::segment::TextPosition;

/// How much is read at a time, in bytes.
pub(crate) const CHUNK: usize = 1024 * 1024;

/// Some whole lines, or the beginning of a line that is too long to be kept.
#[derive(Debug, Clone)]
pub(crate) struct RawChunk {
    /// Where it begins.
    pub(crate) from: TextPosition,
    /// Where it ends, exclusive.
    pub(crate) to: TextPosition,
    /// Its bytes; of a line that is too long only the first.
    pub(crate) bytes: Vec<u8>,
    /// For a line that is too long: its whole length in bytes, without its end.
    pub(crate) too_long: Option<u64>,
    /// For a line that is too long: xxh3-128 of all its bytes.
    pub(crate) hash: u128,
}

/// What comes next in a stream.
#[derive(Debug)]
pub(crate) enum Next {
    /// A chunk.
    Chunk(RawChunk),
    /// Nothing now; more may be appended.
    Idle,
    /// The end.
    End,
}

/// Cuts what `reader` gives into chunks.
pub(crate) struct Chunker<R> {
    reader: R,
    size: usize,
    max_line: usize,
    /// Whether bytes may still be appended: a last line without an end is then not taken.
    growing: bool,
    carry: Vec<u8>,
    /// The rest of a line that was too long is still to come.
    skipping: bool,
    at: TextPosition,
}

impl<R: Read> Chunker<R> {
    /// Chunks of about `size` bytes from `at` on, where the reader stands.
    pub(crate) fn new(reader: R, size: usize, max_line: usize, growing: bool, at: TextPosition) -> Self {
        Self { reader, size, max_line, growing, carry: Vec::new(), skipping: false, at }
    }

    /// Where the next chunk begins.
    pub(crate) fn position(&self) -> TextPosition {
        self.at
    }

    /// Nothing is appended any more: the rest is taken as a line.
    pub(crate) fn stop_growing(&mut self) {
        self.growing = false;
    }

    /// The next chunk.
    ///
    /// # Errors
    /// When reading fails.
    pub(crate) fn next(&mut self) -> io::Result<Next> {
        let mut buffer = std::mem::take(&mut self.carry);
        if self.skipping && !self.skip_line(&mut buffer)? {
            return Ok(if self.growing { Next::Idle } else { Next::End });
        }
        // Chunks end at the last line before a multiple of `size`: whoever begins at any line of a chunk, after a
        // restart in its midst, cuts everything behind it in the same places.
        let mut want = self.size - (self.at.offset % self.size as u64) as usize;
        loop {
            let ended = buffer.len() < want && self.fill(&mut buffer, want)?;
            let within = want.min(buffer.len());
            if let Some(last) = memrchr(b'\n', &buffer[..within]) {
                self.carry = buffer[last + 1..].to_vec();
                buffer.truncate(last + 1);
                return Ok(Next::Chunk(self.chunk(buffer)));
            }
            if within > self.max_line {
                return self.too_long(buffer);
            }
            if ended {
                return Ok(self.tail(buffer));
            }
            want += self.size;
        }
    }

    /// Reads until `buffer` holds `want` bytes; whether the reader has nothing more now.
    fn fill(&mut self, buffer: &mut Vec<u8>, want: usize) -> io::Result<bool> {
        let start = buffer.len();
        buffer.reserve(want.saturating_sub(start));
        let missing = (want - start) as u64;
        let read = (&mut self.reader).take(missing).read_to_end(buffer);
        match read {
            Ok(read) => Ok((read as u64) < missing),
            Err(error) => {
                // What was read before the error is kept: a later attempt goes on after it.
                self.carry = std::mem::take(buffer);
                Err(error)
            }
        }
    }

    /// Drops bytes up to the end of the line; whether it was reached. What follows is left in `buffer`.
    fn skip_line(&mut self, buffer: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            if let Some(last) = memchr(b'\n', buffer) {
                buffer.drain(..=last);
                self.at.offset += last as u64 + 1;
                self.skipping = false;
                return Ok(true);
            }
            self.at.offset += buffer.len() as u64;
            buffer.clear();
            if (&mut self.reader).take(self.size as u64).read_to_end(buffer)? == 0 {
                return Ok(false);
            }
        }
    }

    fn tail(&mut self, buffer: Vec<u8>) -> Next {
        if self.growing {
            self.carry = buffer;
            return Next::Idle;
        }
        if buffer.is_empty() { Next::End } else { Next::Chunk(self.chunk(buffer)) }
    }

    fn chunk(&mut self, bytes: Vec<u8>) -> RawChunk {
        let ends = memchr_iter(b'\n', &bytes).count() as u64;
        let tail = u64::from(bytes.last() != Some(&b'\n'));
        let to = TextPosition { offset: self.at.offset + bytes.len() as u64, line: self.at.line + ends + tail };
        let from = std::mem::replace(&mut self.at, to);
        RawChunk { from, to, bytes, too_long: None, hash: 0 }
    }

    /// Reads on to the end of the line, keeping only its beginning.
    fn too_long(&mut self, head: Vec<u8>) -> io::Result<Next> {
        let mut hasher = Xxh3::new();
        let (mut length, mut end) = (0_u64, 0_u64);
        let mut piece = head.clone();
        loop {
            if let Some(last) = memchr(b'\n', &piece) {
                hasher.update(&piece[..=last]);
                length += last as u64;
                end = 1;
                self.carry = piece.split_off(last + 1);
                break;
            }
            hasher.update(&piece);
            length += piece.len() as u64;
            piece.clear();
            let read = (&mut self.reader).take(self.size as u64).read_to_end(&mut piece)?;
            if read == 0 {
                self.skipping = self.growing;
                break;
            }
        }
        let to = TextPosition { offset: self.at.offset + length + end, line: self.at.line + 1 };
        let from = std::mem::replace(&mut self.at, to);
        let bytes = head[..head.len().min(MAX_RAW)].to_vec();
        Ok(Next::Chunk(RawChunk { from, to, bytes, too_long: Some(length), hash: hasher.digest128() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ends of all chunks of `text` from `offset` on.
    fn ends(text: &[u8], offset: usize) -> Vec<u64> {
        let at = TextPosition { offset: offset as u64, line: 0 };
        let mut chunker = Chunker::new(&text[offset..], 64, 1_000, false, at);
        let mut ends = Vec::new();
        while let Next::Chunk(chunk) = chunker.next().unwrap() {
            assert_eq!(chunk.to.offset - chunk.from.offset, chunk.bytes.len() as u64);
            ends.push(chunk.to.offset);
        }
        ends
    }

    #[test]
    fn whoever_begins_at_any_line_cuts_what_follows_in_the_same_places() {
        let lines = [3, 40, 63, 1, 64, 200, 0, 7, 9, 20, 31, 130, 2, 2, 58].map(|length| "x".repeat(length) + "\n");
        let text = lines.concat().into_bytes();
        let whole = ends(&text, 0);
        assert_eq!(whole.last(), Some(&(text.len() as u64)));
        for (start, _) in text.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            let rest: Vec<u64> = whole.iter().copied().filter(|end| *end > start as u64 + 1).collect();
            assert_eq!(ends(&text, start + 1), rest, "from {}", start + 1);
        }
    }
}
