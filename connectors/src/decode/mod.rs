//! From raw bytes to rows: chunks of text, JSON lines, CSV, and the shapes that inference finds.

pub(crate) mod chunk;
pub(crate) mod columns;
pub(crate) mod csv;
pub(crate) mod infer;
pub(crate) mod json_lines;
pub(crate) mod pieces;
pub(crate) mod segment;
pub(crate) mod shape;
