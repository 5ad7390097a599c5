//! The thread that reads: pieces of the input in order, as far ahead as the channel lets it.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use tidegate_pipeline::error::Result;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::format::Format;
use super::input::{Fingerprint, Input, RawHash, metadata, read_failed};
use super::watch::Watch;
use crate::decode::chunk::CHUNK;
use crate::decode::pieces::{Next, Piece, Pieces};
use crate::decode::segment::TextPosition;

/// What the reading thread says.
#[derive(Debug)]
pub(crate) enum Message {
    /// A piece; for a followed file, with the inode that it is from.
    Piece(Piece, Option<u64>),
    /// The input has ended.
    End(Fingerprint),
}

/// Where messages go.
pub(crate) type Sender = mpsc::Sender<Result<Message>>;

/// How the input is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// Bytes read at a time.
    pub(crate) size: usize,
    /// The longest line, in bytes.
    pub(crate) max_line: usize,
}

impl Cut {
    /// Pieces of the usual size.
    pub(crate) fn new(max_line: usize) -> Self {
        Self { size: CHUNK, max_line }
    }
}

/// One reading of an input.
#[derive(Clone)]
pub(crate) struct Feed {
    pub(crate) input: Input,
    pub(crate) format: Format,
    pub(crate) cut: Cut,
    /// Read only so many raw bytes: the length when the source was opened.
    pub(crate) length: Option<u64>,
    /// Wait for more at the end.
    pub(crate) follow: bool,
    /// The file is still being written: a last line without an end is not taken.
    pub(crate) growing: bool,
    pub(crate) cancel: CancellationToken,
}

/// An input that is open, and the inode that it is.
struct Opened {
    pieces: Box<dyn Pieces>,
    raw: RawHash,
    inode: Option<u64>,
}

/// How a followed file has changed.
enum Change {
    /// Not at all, or it has grown.
    None,
    /// There is another file under its name.
    Rotated,
    /// It is shorter than what was read.
    Truncated,
}

impl Feed {
    /// Sends pieces from `at` on, then the end (a followed file has none). Returns when the receiver is gone.
    pub(crate) fn run(&self, at: TextPosition, inode: Option<u64>, to: &Sender) {
        let fed = if self.follow { self.follow(at, inode, to) } else { self.read(at, to) };
        if let Err(error) = fed {
            // If nobody is left to be told, nobody needs to know.
            let _ = to.blocking_send(Err(error));
        }
    }

    fn read(&self, at: TextPosition, to: &Sender) -> Result<()> {
        let mut opened = self.open(at)?;
        if !self.send_all(&mut opened, to)? {
            return Ok(());
        }
        let read = opened.raw.fingerprint();
        let whole =
            at == TextPosition::default() && read.bytes == self.input.length()?.min(self.length.unwrap_or(u64::MAX));
        // What was read only in part this time is read again: a hash cannot be continued from the middle.
        let fingerprint = if whole { read } else { self.input.fingerprint(self.length)? };
        let _ = to.blocking_send(Ok(Message::End(fingerprint)));
        Ok(())
    }

    fn follow(&self, at: TextPosition, inode: Option<u64>, to: &Sender) -> Result<()> {
        let mut opened = self.open_followed(at, inode)?;
        let watch = Watch::new(&self.input);
        while self.send_all(&mut opened, to)? {
            watch.wait(POLL);
            if to.is_closed() || self.cancel.is_cancelled() {
                return Ok(());
            }
            match self.change(&opened) {
                Change::None => {}
                Change::Rotated => {
                    tracing::info!(file = self.input.name(), "the file was rotated; going on with the new one");
                    // What was appended before the rotation is still there.
                    opened.pieces.stop_growing();
                    if !self.send_all(&mut opened, to)? {
                        return Ok(());
                    }
                    opened = self.open(TextPosition::default())?;
                }
                Change::Truncated => {
                    tracing::warn!(file = self.input.name(), "the file was truncated; reading it from its start");
                    opened = self.open(TextPosition::default())?;
                }
            }
        }
        Ok(())
    }

    /// Opens a followed file where it was left, unless it is another one now.
    fn open_followed(&self, at: TextPosition, inode: Option<u64>) -> Result<Opened> {
        let opened = self.open(at)?;
        let other = inode.is_some_and(|before| Some(before) != opened.inode);
        if !other && self.input.length()? >= at.offset {
            return Ok(opened);
        }
        tracing::warn!(
            file = self.input.name(),
            "the file was replaced since it was last read; reading it from its start"
        );
        self.open(TextPosition::default())
    }

    fn open(&self, at: TextPosition) -> Result<Opened> {
        let opened = self.input.open(at.offset_to_seek(&self.format), self.length)?;
        let pieces = self.format.pieces(&self.input, opened.reader, at, self.cut, self.growing)?;
        Ok(Opened { pieces, raw: opened.raw, inode: opened.inode.filter(|_| self.growing) })
    }

    /// Sends what there is now; `false` when nobody listens any more.
    fn send_all(&self, opened: &mut Opened, to: &Sender) -> Result<bool> {
        loop {
            match opened.pieces.next().map_err(|error| read_failed(self.input.name(), &error))? {
                Next::Idle | Next::End => return Ok(!to.is_closed()),
                Next::Piece(piece) => {
                    if to.blocking_send(Ok(Message::Piece(piece, opened.inode))).is_err() {
                        return Ok(false);
                    }
                }
            }
        }
    }

    fn change(&self, opened: &Opened) -> Change {
        let Input::File { path, name, .. } = &self.input else { return Change::None };
        // While the name points nowhere, a rotation is under way.
        let Ok(now) = metadata(path, name) else { return Change::None };
        if Some(now.ino()) != opened.inode {
            return Change::Rotated;
        }
        if now.len() < opened.pieces.position().offset { Change::Truncated } else { Change::None }
    }
}

/// How often a followed file is looked at when nothing announces a change.
const POLL: Duration = Duration::from_millis(200);
