//! Handlers: a file or folder each, named as in YAML.

pub mod file_resource;
