//! The operators of Tidegate, a file or folder each, named as YAML names them.

pub mod check;
