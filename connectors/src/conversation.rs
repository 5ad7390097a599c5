//! A program that is asked something: text on its stdin, text on its stdout, both bounded; then it has to end.

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use tidegate_pipeline::error::{Error, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::program::{Group, ProgramCommand, cannot_start};

/// How much of what it complains of is kept, in bytes.
const COMPLAINT: usize = 8 * 1024;

/// What a program has answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// What it wrote to stdout.
    pub(crate) stdout: Vec<u8>,
    /// The end of what it wrote to stderr.
    pub(crate) stderr: String,
}

/// Starts a program, gives it `input` and reads its answer, of `most` bytes at most. Where this is dropped, the program is
/// killed, with everything that it has started.
///
/// # Errors
/// When it cannot be started, or says more than it may.
pub(crate) async fn ask(command: &ProgramCommand, input: Vec<u8>, most: usize) -> Result<Answer> {
    let mut starting = Command::new(&command.program);
    starting.args(&command.arguments).envs(&command.environment).current_dir(&command.folder);
    starting.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    starting.process_group(0).kill_on_drop(true);
    let mut child = starting.spawn().map_err(|error| cannot_start(&command.program, &error))?;
    let group = Arc::new(Group::of(&child));
    let piped = || Error::internal("a program was started without pipes");
    let mut stdin = child.stdin.take().ok_or_else(piped)?;
    let (stdout, stderr) = (child.stdout.take().ok_or_else(piped)?, child.stderr.take().ok_or_else(piped)?);
    let give = async move {
        // A program that does not want to know closes its stdin: that is its choice.
        let _ = stdin.write_all(&input).await;
        drop(stdin);
    };
    let ((), stdout, stderr) = futures::join!(give, answer(stdout, most), complaint(stderr));
    let stdout = stdout?;
    let status = child.wait().await.map_err(|error| Error::external(format!("it cannot be waited for: {error}")))?;
    group.forget();
    Ok(Answer { status, stdout, stderr })
}

async fn answer(mut from: impl AsyncRead + Unpin, most: usize) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let read = (&mut from).take(limit).read_to_end(&mut text).await;
    read.map_err(|error| Error::external(format!("its answer cannot be read: {error}")))?;
    if text.len() > most {
        return Err(Error::external(format!("the program says more than {most} bytes (`max_answer`)")).never_retry());
    }
    Ok(text)
}

/// The end of what comes; all of it is read.
async fn complaint(mut from: impl AsyncRead + Unpin) -> String {
    let (mut text, mut piece) = (Vec::new(), vec![0; COMPLAINT]);
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        text.extend_from_slice(&piece[..read]);
        let over = text.len().saturating_sub(COMPLAINT);
        text.drain(..over);
    }
    String::from_utf8_lossy(&text).trim().to_owned()
}
