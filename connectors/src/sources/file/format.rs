//! The formats that a file source reads, and how each is cut into pieces.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::step::Position;

use super::feed::Cut;
use super::input::Input;
use super::parquet::ParquetPieces;
use crate::decode::chunk::Chunker;
use crate::decode::csv::{CsvFile, CsvPieces};
use crate::decode::json_lines::JsonLines;
use crate::decode::pieces::{Pieces, Reader};
use crate::decode::segment::TextPosition;

/// A format, with what it needs to decode.
#[derive(Debug, Clone)]
pub(crate) enum Format {
    JsonLines(JsonLines),
    Csv(Arc<CsvFile>),
    Parquet,
}

/// A position as the journal keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FilePosition {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    row: Option<u64>,
    /// The inode of a followed file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) inode: Option<u64>,
}

impl FilePosition {
    /// Reads a position that [`Format::position`] wrote.
    ///
    /// # Errors
    /// When it is not one.
    pub(crate) fn read(position: &Position) -> Result<Self> {
        serde_json::from_str(&position.0)
            .map_err(|error| Error::internal(format!("`{position}` is not a position in a file: {error}")))
    }

    /// The place in the text; for Parquet, the row as its offset.
    pub(crate) fn text(&self) -> TextPosition {
        TextPosition { offset: self.row.or(self.offset).unwrap_or(0), line: self.line.unwrap_or(0) }
    }
}

impl Format {
    /// Cuts what `reader` gives, which stands at `at`, into pieces.
    ///
    /// # Errors
    /// When the file is not of this format.
    pub(crate) fn pieces(
        &self,
        input: &Input,
        reader: Reader,
        at: TextPosition,
        cut: Cut,
        growing: bool,
    ) -> Result<Box<dyn Pieces>> {
        Ok(match self {
            Self::JsonLines(_) => Box::new(Chunker::new(reader, cut.size, cut.max_line, growing, at)),
            Self::Csv(csv) => Box::new(CsvPieces::new(Arc::clone(csv), reader, at, cut.size, growing)),
            Self::Parquet => Box::new(ParquetPieces::open(input, at.offset, None)?),
        })
    }

    /// A place as the journal keeps it.
    pub(crate) fn position(&self, at: TextPosition, inode: Option<u64>) -> Result<Position> {
        let position = match self {
            Self::Parquet => FilePosition { row: Some(at.offset), ..FilePosition::default() },
            _ => FilePosition { offset: Some(at.offset), line: Some(at.line), row: None, inode },
        };
        let text = serde_json::to_string(&position).map_err(Error::internal)?;
        Ok(Position(text.into()))
    }
}

impl TextPosition {
    /// Where the reader has to stand: rows of Parquet are found through the file's own index.
    pub(crate) fn offset_to_seek(self, format: &Format) -> u64 {
        if matches!(format, Format::Parquet) { 0 } else { self.offset }
    }
}
