//! The shell: statements from a person at a terminal, or from stdin.

mod background;
mod command;
mod completion;
mod editor;
mod history;
mod line;
mod screen;
mod statement;

use std::fs::File;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::time::Instant;

use arrow::array::RecordBatch;
use datafusion::prelude::SessionContext;
use tidegate_pipeline::table::past::Shown;

use super::{collect, functions_list, rows};
use crate::arguments::RowFormat;
use crate::exit::{DONE, Failure};
use crate::output;
use background::Background;
use command::{COMMANDS, Command};
use completion::Names;
use editor::{Editor, Input};
use history::History;

const PROMPT: &str = "tidegate> ";
const MORE: &str = "       -> ";

/// How many rows of a result a terminal shows.
const SHOWN: usize = 1000;

/// How deep files may name files.
const NESTING: usize = 8;

/// Reads statements that end in `;`, or with the input, and answers each. An error ends none but its own statement;
/// without a person at the prompt, the program's exit code still tells of it.
pub(super) async fn shell(session: &SessionContext, shown: &Shown, format: RowFormat) -> Result<u8, Failure> {
    let prompted = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let shell = Shell::new(session, format, prompted)?;
    if !prompted {
        return shell.piped().await;
    }
    output::print(&format!(
        "SQL over the tables as of {} (step {}); statements end with `;`, `\\d` lists tables, `\\?` helps, `\\q` ends.\n",
        shown.time, shown.step
    ))?;
    let editor = Editor::new(History::open(), Names::of(session).await);
    shell.prompt(editor).await
}

struct Shell<'s> {
    session: &'s SessionContext,
    format: RowFormat,
    prompted: bool,
    /// At a terminal.
    background: Option<Background>,
    timing: bool,
    expanded: bool,
    /// Where results go instead of stdout.
    file: Option<File>,
    /// What was written of a statement that has not ended.
    statement: String,
    code: u8,
}

impl<'s> Shell<'s> {
    fn new(session: &'s SessionContext, format: RowFormat, prompted: bool) -> Result<Self, Failure> {
        let background = prompted.then(Background::start).transpose()?;
        let (statement, expanded, file) = (String::new(), false, None);
        Ok(Self { session, format, prompted, background, timing: prompted, expanded, file, statement, code: DONE })
    }

    async fn piped(mut self) -> Result<u8, Failure> {
        loop {
            let mut line = String::new();
            let ended = std::io::stdin().lock().read_line(&mut line)? == 0;
            if self.take(&line, ended, 0).await || ended {
                return Ok(self.code);
            }
        }
    }

    async fn prompt(mut self, mut editor: Editor) -> Result<u8, Failure> {
        loop {
            let prompt = if self.statement.is_empty() { PROMPT } else { MORE };
            match editor.read(prompt, &self.statement)? {
                Input::Closed => return Ok(DONE),
                Input::Interrupted => self.statement.clear(),
                Input::Line(line) => {
                    editor.remember(&line);
                    if self.take(&format!("{line}\n"), false, 0).await {
                        return Ok(DONE);
                    }
                }
            }
        }
    }

    /// Takes a line. Whether it was the last.
    async fn take(&mut self, line: &str, ended: bool, depth: usize) -> bool {
        if self.statement.trim().is_empty()
            && let Some(command) = Command::parse(line)
        {
            self.statement.clear();
            let done = match command {
                Ok(Command::Quit) => return true,
                Ok(command) => self.command(command, depth).await,
                Err(message) => Err(Failure::usage(message)),
            };
            self.report(done);
            return false;
        }
        self.statement.push_str(line);
        let text = self.statement.trim_end();
        if !ended && statement::whole(text) < text.len() || text.is_empty() {
            if text.is_empty() {
                self.statement.clear();
            }
            return false;
        }
        let text = std::mem::take(&mut self.statement);
        for sql in statement::split(&text) {
            let started = Instant::now();
            let done = self.answer(sql).await;
            let timed = done.is_ok() && self.timing;
            self.report(done);
            if timed {
                self.report(output::print(&format!("{:.1?}\n", started.elapsed())));
            }
        }
        false
    }

    fn report(&mut self, done: Result<(), Failure>) {
        if let Err(failure) = done {
            crate::output::told!("error: {}", failure.message);
            if !self.prompted {
                self.code = failure.code;
            }
        }
    }

    async fn command(&mut self, command: Command, depth: usize) -> Result<(), Failure> {
        match command {
            Command::Quit => Ok(()),
            Command::Help => {
                output::print(&COMMANDS.iter().map(|(usage, what)| format!("{usage:<18} {what}\n")).collect::<String>())
            }
            Command::Describe(None) => {
                let sql = "select table_name from information_schema.tables where table_schema = 'public' order by 1";
                self.answer(sql).await
            }
            Command::Describe(Some(table)) => self.columns(&table).await,
            Command::Functions(part) => {
                let batch = functions_list::functions(self.session, part.as_deref().unwrap_or_default())?;
                self.write(&[batch])
            }
            Command::Timing(on) => {
                self.timing = on.unwrap_or(!self.timing);
                self.say(&format!("timing is {}", if self.timing { "on" } else { "off" }))
            }
            Command::Expanded(on) => {
                self.expanded = on.unwrap_or(!self.expanded);
                self.say(&format!("expanded rows are {}", if self.expanded { "on" } else { "off" }))
            }
            Command::Format(format) => {
                self.format = format;
                Ok(())
            }
            Command::Output(file) => {
                let create = |path: &Path| {
                    File::create(path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
                };
                self.file = file.as_deref().map(create).transpose()?;
                Ok(())
            }
            Command::Include(file) => self.include(&file, depth + 1).await,
        }
    }

    /// Says something to a person, not to a program that reads stdout.
    fn say(&self, text: &str) -> Result<(), Failure> {
        if self.prompted { output::print(&format!("{text}\n")) } else { Ok(()) }
    }

    async fn include(&mut self, file: &Path, depth: usize) -> Result<(), Failure> {
        if depth > NESTING {
            return Err(Failure::usage(format!("{}: files name files more than {NESTING} deep", file.display())));
        }
        let text = std::fs::read_to_string(file);
        let text = text.map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
        let lines = text.lines().count();
        for (number, line) in text.lines().enumerate() {
            let line = format!("{line}\n");
            if Box::pin(self.take(&line, number + 1 == lines, depth)).await {
                break;
            }
        }
        Ok(())
    }

    async fn columns(&mut self, table: &str) -> Result<(), Failure> {
        let name = table.trim_matches('"').replace('\'', "''");
        let sql = format!(
            "select column_name, data_type, is_nullable from information_schema.columns where table_name = '{name}' order by ordinal_position"
        );
        let batches = collect(self.session, &sql).await?;
        if batches.iter().all(|batch| batch.num_rows() == 0) {
            let sql = "select table_name from information_schema.tables where table_schema = 'public' order by 1";
            let known = rows::text(RowFormat::Csv, &collect(self.session, sql).await?)?;
            let known: Vec<String> = known.lines().skip(1).map(str::to_owned).collect();
            return Err(Failure::unknown("table", table, &known));
        }
        self.write(&batches)
    }

    /// Answers a statement. Ctrl-C ends the statement and not the shell.
    async fn answer(&mut self, sql: &str) -> Result<(), Failure> {
        let batches = match &mut self.background {
            Some(background) => background.collect(self.session, sql).await?,
            None => collect(self.session, sql).await?,
        };
        self.write(&batches)
    }

    fn write(&mut self, batches: &[RecordBatch]) -> Result<(), Failure> {
        let people = self.prompted && self.file.is_none();
        let all: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let short = people && all > SHOWN;
        let first = short.then(|| rows::first(batches, SHOWN));
        let batches = first.as_deref().unwrap_or(batches);
        let mut text = match self.expanded && self.format == RowFormat::Text {
            true => rows::expanded(batches)?,
            false => rows::text(self.format, batches)?,
        };
        if short {
            text.push_str(&format!("the first {SHOWN} of {all} rows; `\\o FILE` writes all of them\n"));
        }
        match &mut self.file {
            Some(file) => Ok(file.write_all(text.as_bytes())?),
            None if people => screen::show(&text),
            None => output::print(&text),
        }
    }
}
