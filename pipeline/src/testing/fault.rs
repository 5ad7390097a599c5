//! Faults of the disk: places at which a test lets an operation on a file fail as a disk would make it fail.
//!
//! `TIDEGATE_FAULT_AT=journal.sync:3=eio` lets the third pass of the point `journal.sync` fail with an input/output
//! error; `journal.write:3+=enospc` lets every write from the third on find the disk full; `short` writes half
//! and then finds it full. Without the variable a point costs one load. Tests in this crate give faults to a
//! value of their own instead.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

/// The environment variable that arms a fault, as `NAME:N=KIND` or `NAME:N+=KIND`; N counts from 1 and may be
/// left out.
pub const VARIABLE: &str = "TIDEGATE_FAULT_AT";

/// All points at which the engine and its files of output touch the disk.
pub const POINTS: &[&str] = &[
    "journal.create",
    "journal.write",
    "journal.sync",
    "journal.mark",
    "journal.rewrite",
    "journal.remove",
    "segment.create",
    "segment.write",
    "segment.sync",
    "segment.rename",
    "manifest.create",
    "manifest.write",
    "manifest.sync",
    "manifest.rename",
    "head.create",
    "head.write",
    "head.sync",
    "head.rename",
    "directory.sync",
    "output.write",
    "output.sync",
];

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The device reports an input/output error.
    Eio,
    /// The disk is full, and nothing is written.
    Enospc,
    /// The disk is full after half of what was to be written.
    Short,
}

impl Kind {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "eio" => Self::Eio,
            "enospc" => Self::Enospc,
            "short" => Self::Short,
            _ => return None,
        })
    }

    /// What the system says.
    fn error(self) -> io::Error {
        match self {
            Self::Eio => Errno::IO.into(),
            Self::Enospc | Self::Short => Errno::NOSPC.into(),
        }
    }
}

/// A fault that is armed.
#[derive(Debug)]
pub(crate) struct Fault {
    point: String,
    first: u64,
    /// Whether it goes on failing after the first time.
    lasts: bool,
    kind: Kind,
    passed: AtomicU64,
}

impl Fault {
    /// A fault as [`VARIABLE`] writes it; `None` for what means nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (place, kind) = text.rsplit_once('=')?;
        let (place, lasts) = place.strip_suffix('+').map_or((place, false), |place| (place, true));
        let (point, first) = match place.rsplit_once(':') {
            Some((point, first)) => (point, first.parse().ok()?),
            None => (place, 1),
        };
        let kind = Kind::parse(kind)?;
        let meaningful = !point.is_empty() && first > 0;
        meaningful.then(|| Self { point: point.to_owned(), first, lasts, kind, passed: AtomicU64::new(0) })
    }

    /// Counts a pass of a point; how it fails, when it does.
    pub(crate) fn due(&self, point: &str) -> Option<Kind> {
        if self.point != point {
            return None;
        }
        let pass = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        (pass == self.first || self.lasts && pass > self.first).then_some(self.kind)
    }
}

/// The process-wide fault: the environment is read once.
static ARMED: OnceLock<Option<Fault>> = OnceLock::new();

fn armed(point: &str) -> Option<Kind> {
    ARMED.get_or_init(|| Fault::parse(&std::env::var(VARIABLE).ok()?)).as_ref()?.due(point)
}

/// An operation on a file is about to be made: fails instead of it when the environment says so.
///
/// # Errors
/// The fault.
pub fn pass(point: &str) -> io::Result<()> {
    failing(armed(point))
}

/// Writes all of `bytes`, or fails when the environment says so.
///
/// # Errors
/// The fault, or what writing fails with.
pub fn write_all(point: &str, writer: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    write_unless(armed(point), writer, bytes)
}

pub(crate) fn failing(kind: Option<Kind>) -> io::Result<()> {
    kind.map_or(Ok(()), |kind| Err(kind.error()))
}

pub(crate) fn write_unless(kind: Option<Kind>, writer: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    if kind == Some(Kind::Short) {
        writer.write_all(&bytes[..bytes.len() / 2])?;
    }
    failing(kind)?;
    writer.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(fault: &Fault, passes: usize) -> Vec<bool> {
        (0..passes).map(|_| fault.due("journal.sync").is_some()).collect()
    }

    #[test]
    fn a_fault_is_due_once_or_from_a_pass_on() {
        assert_eq!(due(&Fault::parse("journal.sync:2=eio").unwrap(), 4), [false, true, false, false]);
        assert_eq!(due(&Fault::parse("journal.sync:2+=eio").unwrap(), 4), [false, true, true, true]);
        assert_eq!(due(&Fault::parse("journal.sync=enospc").unwrap(), 2), [true, false]);
        assert_eq!(due(&Fault::parse("head.sync=eio").unwrap(), 2), [false, false]);
        for nonsense in ["", "journal.sync", "journal.sync:0=eio", ":1=eio", "journal.sync=fire", "a:b=eio"] {
            assert!(Fault::parse(nonsense).is_none(), "{nonsense}");
        }
    }

    #[test]
    fn a_short_write_leaves_half_and_says_that_the_disk_is_full() {
        let mut written = Vec::new();
        let error = write_unless(Some(Kind::Short), &mut written, b"abcd").unwrap_err();
        assert_eq!((written.as_slice(), error.kind()), (&b"ab"[..], io::ErrorKind::StorageFull));
        assert!(write_unless(Some(Kind::Enospc), &mut written, b"abcd").is_err());
        write_unless(None, &mut written, b"cd").unwrap();
        assert_eq!(written, b"abcd");
    }
}
