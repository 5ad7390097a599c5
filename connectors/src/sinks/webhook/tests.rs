//! Against a server of this process.
