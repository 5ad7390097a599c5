//! A text file whose mark is its length and running hash.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::sink::TransactionalSink;
use tidegate_pipeline::step::StepHeader;
use tidegate_pipeline::testing::{crash, fault};
use xxhash_rust::xxh3::Xxh3;

use super::{Existing, OutputPlace, sync_folder};

/// How much is kept before it is handed to the operating system, in bytes.
const BUFFER: usize = 1024 * 1024;

/// Turns rows into text.
pub(crate) trait Encoder: Send {
    /// The file begins with `first_line` (empty for an empty file).
    ///
    /// # Errors
    /// When what is there cannot be gone on with.
    fn resume(&mut self, first_line: &str) -> Result<()>;

    /// Appends `rows` to `out`.
    ///
    /// # Errors
    /// When the rows cannot be written in this format.
    fn encode(&mut self, rows: &RecordBatch, out: &mut Vec<u8>) -> Result<()>;
}

/// The detail of a mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TextMark {
    /// Bytes of the file that are complete.
    length: u64,
    /// xxh3-64 of those bytes, hexadecimal.
    hash: String,
}

/// An open text file.
pub(crate) struct TextFile {
    place: OutputPlace,
    encoder: Box<dyn Encoder>,
    file: Arc<File>,
    buffer: Vec<u8>,
    length: u64,
    hasher: Xxh3,
    /// Whether the file's name may not be durable yet.
    new_name: bool,
    /// Whether something was written since the last commit.
    dirty: bool,
}

impl TextFile {
    /// Opens the file and brings it back to `mark`. Blocks.
    ///
    /// # Errors
    /// When it is not what the mark says, or exists although there is no mark.
    pub(crate) fn open(place: OutputPlace, encoder: Box<dyn Encoder>, mark: Option<&str>) -> Result<Self> {
        let known = std::fs::metadata(&place.path).ok();
        if known.as_ref().is_some_and(|known| !known.is_file()) {
            let error = Error::user(format!("`{}` is not a regular file", place.name));
            return Err(error.with_remedy("name a file; the sink `console` writes to the terminal"));
        }
        let mark = mark.map(|text| read_mark(text, &place)).transpose()?;
        if mark.is_some() && known.is_none() {
            return Err(place.lost("is gone, although this pipeline has written it"));
        }
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let file = options.open(&place.path).map_err(|error| place.failed("open", &error))?;
        let mut opened = Self {
            place,
            encoder,
            file: Arc::new(file),
            buffer: Vec::new(),
            length: 0,
            hasher: Xxh3::new(),
            new_name: known.is_none(),
            dirty: known.is_none(),
        };
        match mark {
            Some(mark) => opened.recover(&mark)?,
            None => opened.begin()?,
        }
        let first_line = opened.first_line().map_err(|error| opened.place.failed("read", &error))?;
        opened.encoder.resume(&first_line)?;
        Ok(opened)
    }

    /// Verifies what the mark covers and cuts off the rest.
    fn recover(&mut self, mark: &TextMark) -> Result<()> {
        self.take_in(mark.length)?;
        if self.length < mark.length {
            let (have, want) = (self.length, mark.length);
            return Err(self.place.lost(&format!("is shorter than this pipeline left it ({have} of {want} bytes)")));
        }
        if self.hash() != mark.hash {
            let length = mark.length;
            return Err(self
                .place
                .lost(&format!("was changed: its first {length} bytes are not what this pipeline wrote")));
        }
        self.cut()
    }

    /// Begins a pipeline that has never committed.
    fn begin(&mut self) -> Result<()> {
        let length = self.file.metadata().map_err(|error| self.place.failed("read", &error))?.len();
        match self.place.existing {
            Existing::Refuse if length > 0 => Err(self.place.refused()),
            Existing::Refuse | Existing::Replace => self.cut(),
            Existing::Append => {
                self.take_in(length)?;
                self.cut()?;
                self.end_last_line()
            }
        }
    }

    /// Hashes the first `length` bytes.
    fn take_in(&mut self, length: u64) -> Result<()> {
        let mut reader = self.file.as_ref().take(length);
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = reader.read(&mut buffer).map_err(|error| self.place.failed("read", &error))?;
            if read == 0 {
                return Ok(());
            }
            self.hasher.update(&buffer[..read]);
            self.length += read as u64;
        }
    }

    /// Makes the file as long as what was taken in, and goes to its end.
    fn cut(&mut self) -> Result<()> {
        crash::point("sink.cut");
        let cut = self.file.set_len(self.length).and_then(|()| {
            let mut file = self.file.as_ref();
            file.seek(SeekFrom::Start(self.length))
        });
        cut.map(|_| ()).map_err(|error| self.place.failed("cut", &error))
    }

    /// A file that is appended to may lack the end of its last line.
    fn end_last_line(&mut self) -> Result<()> {
        let Some(last) = self.length.checked_sub(1) else { return Ok(()) };
        let mut byte = [0];
        let mut file = self.file.as_ref();
        let read = file.seek(SeekFrom::Start(last)).and_then(|_| file.read_exact(&mut byte));
        read.map_err(|error| self.place.failed("read", &error))?;
        if byte != *b"\n" {
            self.buffer.push(b'\n');
            self.dirty = true;
        }
        Ok(())
    }

    fn first_line(&self) -> std::io::Result<String> {
        const LONGEST: u64 = 1024 * 1024;
        if self.length == 0 {
            return Ok(String::new());
        }
        let mut line = Vec::new();
        let mut file = self.file.as_ref();
        file.seek(SeekFrom::Start(0))?;
        BufReader::new(file.take(LONGEST)).read_until(b'\n', &mut line)?;
        file.seek(SeekFrom::Start(self.length))?;
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// Hands what is buffered to the operating system.
    fn hand_over(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut file = self.file.as_ref();
        crash::point("sink.write");
        let (first, second) = self.buffer.split_at(self.buffer.len() / 2);
        let halves = fault::write_all("output.write", &mut file, first).and_then(|()| {
            crash::point("sink.half");
            fault::write_all("output.write", &mut file, second)
        });
        halves.map_err(|error| self.place.failed("write", &error))?;
        self.hasher.update(&self.buffer);
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        self.dirty = true;
        Ok(())
    }

    fn hash(&self) -> String {
        format!("{:016x}", self.hasher.digest())
    }
}

fn read_mark(text: &str, place: &OutputPlace) -> Result<TextMark> {
    serde_json::from_str(text)
        .map_err(|error| Error::internal(format!("`{text}` is not a mark of `{}`: {error}", place.name)))
}

#[async_trait]
impl TransactionalSink for TextFile {
    async fn write(&mut self, _step: &StepHeader, rows: &RecordBatch) -> Result<()> {
        self.encoder.encode(rows, &mut self.buffer)?;
        if self.buffer.len() >= BUFFER { self.hand_over() } else { Ok(()) }
    }

    async fn commit(&mut self) -> Result<BoxFuture<'static, Result<String>>> {
        self.hand_over()?;
        let mark = TextMark { length: self.length, hash: self.hash() };
        let detail = serde_json::to_string(&mark).map_err(Error::internal)?;
        if !std::mem::take(&mut self.dirty) {
            return Ok(async move { Ok(detail) }.boxed());
        }
        let new_name = std::mem::take(&mut self.new_name);
        let (file, place) = (Arc::clone(&self.file), self.place.clone());
        let sync = move || -> Result<String> {
            let folder = place.path.parent().unwrap_or(Path::new("."));
            crash::point("sink.sync");
            let synced = fault::pass("output.sync").and_then(|()| file.sync_data());
            let synced = synced.and_then(|()| if new_name { sync_folder(folder) } else { Ok(()) });
            synced.map_err(|error| place.failed("make durable", &error))?;
            crash::point("sink.synced");
            Ok(detail)
        };
        Ok(async move { tokio::task::spawn_blocking(sync).await.map_err(Error::internal)? }.boxed())
    }
}
