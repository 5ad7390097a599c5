//! Handlers: a file or folder each, named as in YAML.

pub mod exec_resource;
pub mod file_resource;
pub mod http_resource;
