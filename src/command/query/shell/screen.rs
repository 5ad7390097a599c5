//! Long results, through the pager that the person has chosen.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use rustix::termios::tcgetwinsize;

use crate::exit::Failure;
use crate::output;

/// Shows a text: through `$PAGER`, if that is set and the text does not fit on the screen.
pub(super) fn show(text: &str) -> Result<(), Failure> {
    let pager = std::env::var("PAGER").ok().filter(|pager| !pager.trim().is_empty());
    let height = tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_row));
    match pager {
        Some(pager) if height > 0 && text.lines().count() >= height => match page(&pager, text) {
            Ok(()) => Ok(()),
            Err(error) => {
                crate::output::told!("note: the pager `{pager}` cannot be started: {error}");
                output::print(text)
            }
        },
        _ => output::print(text),
    }
}

fn page(pager: &str, text: &str) -> io::Result<()> {
    let mut child = Command::new("sh").args(["-c", pager]).stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(text.as_bytes()) {
            // Who has seen enough ends the pager.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    child.wait().map(drop)
}
