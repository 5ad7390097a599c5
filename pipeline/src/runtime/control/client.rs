//! Asking the owner of a pipeline's directory.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{Address, Answer, ControlAnswer, ControlRequest, LONGEST, NAME, Outcome, Request, VERSION, WITHIN};
use crate::disk::failed;
use crate::error::{Error, Result};

/// Longer than the owner takes: its own time-out says more.
const PATIENCE: Duration = Duration::from_secs(WITHIN.as_secs() + 5);

/// Asks the owner; `None` when nobody listens, or the owner ended before it answered. Blocks.
///
/// # Errors
/// What the owner says, or that it does not answer.
pub(crate) fn ask(directory: &Path, request: &ControlRequest) -> Result<Option<ControlAnswer>> {
    let mut line = serde_json::to_vec(&Request { version: VERSION, request }).map_err(Error::internal)?;
    line.push(b'\n');
    let answer = match exchange(directory, &line) {
        Ok(answer) if answer.last() == Some(&b'\n') => answer,
        Ok(_) => return Ok(None),
        Err(error) if nobody_listens(error.kind()) => return Ok(None),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            let message = format!("the pipeline that runs in {} does not answer", directory.display());
            return Err(Error::external(message).with_remedy("look at its log; it may be stuck on a slow disk"));
        }
        Err(error) => return Err(failed("ask the pipeline that runs, over", &directory.join(NAME), &error)),
    };
    let unreadable = |error| Error::external(format!("the pipeline that runs answers in another form: {error}"));
    let answer: Answer = serde_json::from_slice(&answer).map_err(|error| {
        unreadable(error).with_remedy("use the program that runs the pipeline, or stop the pipeline first")
    })?;
    match answer.outcome {
        Outcome::Answer(answer) => Ok(Some(answer)),
        Outcome::Error(refusal) => Err(refusal.into()),
    }
}

fn exchange(directory: &Path, line: &[u8]) -> io::Result<Vec<u8>> {
    let address = Address::of(directory, NAME)?;
    let mut stream = UnixStream::connect(&address.path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(line)?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut answer)?;
    Ok(answer)
}

fn nobody_listens(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}
