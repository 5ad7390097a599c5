//! Lines from a person at a terminal: editing, history, completion.

use std::io::{self, Read, Write};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::completion::{Names, common};
use super::history::History;
use super::line::{Key, Line, read_key};

/// How many names are shown for a word at most.
const OFFERED: usize = 60;

/// What a person has given.
#[derive(Debug)]
pub(super) enum Input {
    Line(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or the terminal has gone.
    Closed,
}

/// The terminal without echo and line discipline, until it is dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        // Newlines in what is written stay what they are for the terminal.
        raw.output_modes = before.output_modes;
        tcsetattr(io::stdin(), OptionalActions::Drain, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // There is no way to say that it failed.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}

/// Reads lines.
pub(super) struct Editor {
    history: History,
    names: Names,
}

impl Editor {
    pub(super) fn new(history: History, names: Names) -> Self {
        Self { history, names }
    }

    /// Keeps a line for the next time.
    pub(super) fn remember(&mut self, line: &str) {
        self.history.add(line);
    }

    /// Reads a line behind `prompt`; `statement` is what was written above it. Waits for the person at the terminal.
    ///
    /// # Errors
    /// When the terminal cannot be read or written.
    pub(super) fn read(&self, prompt: &str, statement: &str) -> io::Result<Input> {
        let _raw = Raw::enter()?;
        let mut stdin = io::stdin().lock();
        let mut line = Line::default();
        let mut back = 0;
        let mut unfinished = String::new();
        loop {
            show(prompt, &line)?;
            let mut byte = [0];
            let next = || Ok::<_, io::Error>((stdin.read(&mut byte)? == 1).then(|| byte[0]));
            let Some(key) = read_key(next)? else { return end(Input::Closed) };
            match key {
                Key::Enter => return end(Input::Line(line.text())),
                Key::Interrupt => return end(Input::Interrupted),
                Key::Close if line.is_empty() => return end(Input::Closed),
                Key::Clear => print("\x1b[H\x1b[2J")?,
                Key::Tab => self.complete(statement, &mut line)?,
                Key::Up => {
                    if back == 0 {
                        unfinished = line.text();
                    }
                    if let Some(before) = self.history.ago(back + 1) {
                        back += 1;
                        line = Line::of(before);
                    }
                }
                Key::Down if back > 0 => {
                    back -= 1;
                    line = Line::of(self.history.ago(back).unwrap_or(&unfinished));
                }
                key => line.press(key),
            }
        }
    }

    fn complete(&self, statement: &str, line: &mut Line) -> io::Result<()> {
        let (length, offered) = self.names.complete(statement, &line.before());
        let shared = common(&offered);
        match offered.as_slice() {
            [] => Ok(()),
            [only] => {
                line.replace_before(length, &format!("{only} "));
                Ok(())
            }
            _ if shared.chars().count() > length => {
                line.replace_before(length, &shared);
                Ok(())
            }
            several => {
                let more = several.len().saturating_sub(OFFERED);
                let more = if more > 0 { format!("  … and {more} more") } else { String::new() };
                let shown: Vec<&str> = several.iter().take(OFFERED).map(String::as_str).collect();
                print(&format!("\n{}{more}\n", shown.join("  ")))
            }
        }
    }
}

/// Draws the line anew.
fn show(prompt: &str, line: &Line) -> io::Result<()> {
    // A terminal that does not know its size says 0.
    let columns = tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
    let columns = if columns == 0 { 80 } else { columns };
    let width = columns.saturating_sub(prompt.chars().count() + 1);
    let (shown, cursor) = line.window(width);
    // A tab or another control character would move what follows.
    let shown: String = shown.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    print(&format!("\r\x1b[K{prompt}{shown}\r\x1b[{}C", prompt.chars().count() + cursor))
}

fn end(input: Input) -> io::Result<Input> {
    print("\n")?;
    Ok(input)
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
