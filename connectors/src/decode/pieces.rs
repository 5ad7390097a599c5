//! What every format gives while it is read.

use std::io::{self, Read};

use super::chunk::{self, Chunker, RawChunk};
use super::segment::{Segment, TextPosition};

/// A piece of the input.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Lines that are still to be decoded.
    Lines(RawChunk),
    /// Rows, decoded while reading.
    Rows(Segment),
}

/// What comes next in an input.
#[derive(Debug)]
pub(crate) enum Next {
    /// A piece.
    Piece(Piece),
    /// Nothing now; more may be appended.
    Idle,
    /// The end.
    End,
}

/// Cuts an input into pieces.
pub(crate) trait Pieces {
    /// The next piece.
    ///
    /// # Errors
    /// When reading fails.
    fn next(&mut self) -> io::Result<Next>;
    /// Everything before this was given out.
    fn position(&self) -> TextPosition;
    /// Nothing is appended any more: the rest is taken.
    fn stop_growing(&mut self);
}

/// A reader that pieces are cut from.
pub(crate) type Reader = Box<dyn Read + Send>;

impl Pieces for Chunker<Reader> {
    fn next(&mut self) -> io::Result<Next> {
        Ok(match Chunker::next(self)? {
            chunk::Next::Chunk(chunk) => Next::Piece(Piece::Lines(chunk)),
            chunk::Next::Idle => Next::Idle,
            chunk::Next::End => Next::End,
        })
    }

    fn position(&self) -> TextPosition {
        Chunker::position(self)
    }

    fn stop_growing(&mut self) {
        Chunker::stop_growing(self);
    }
}
