//! What was written before, kept in a file that only its owner reads.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How many lines are kept.
const KEPT: usize = 1000;
/// No longer line is kept.
const LONGEST: usize = 10_000;

/// Lines, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    lines: Vec<String>,
    file: Option<PathBuf>,
}

impl History {
    /// The history of the person at the terminal: `$XDG_STATE_HOME/tidegate/query_history`, else below
    /// `~/.local/state`. Where it cannot be kept, it lasts as long as the shell.
    pub(super) fn open() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
        match state {
            Some(state) => Self::read(&state.join("tidegate/query_history")),
            None => Self::default(),
        }
    }

    fn read(file: &Path) -> Self {
        let text = fs::read(file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.len() > KEPT {
            lines.drain(..lines.len() - KEPT);
            let shortened = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            // Else it is shortened the next time.
            let _ = replace(file, &shortened);
        }
        Self { lines, file: Some(file.to_owned()) }
    }

    /// Keeps a line, unless it is the last one again.
    pub(super) fn add(&mut self, line: &str) {
        let line = line.trim_end();
        if line.trim().is_empty() || line.len() > LONGEST || self.lines.last().is_some_and(|last| last == line) {
            return;
        }
        self.lines.push(line.to_owned());
        if self.lines.len() > KEPT {
            self.lines.remove(0);
        }
        if let Some(file) = &self.file
            && append(file, line).is_err()
        {
            self.file = None;
        }
    }

    /// The line `back` lines ago; the last is 1.
    pub(super) fn ago(&self, back: usize) -> Option<&str> {
        self.lines.get(self.lines.len().checked_sub(back)?).filter(|_| back > 0).map(String::as_str)
    }
}

fn append(file: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
    file.write_all(format!("{line}\n").as_bytes())
}

fn replace(file: &Path, text: &str) -> io::Result<()> {
    let beside = file.with_extension("new");
    let mut new = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
    new.write_all(text.as_bytes())?;
    fs::rename(beside, file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn lines_are_there_the_next_time_and_nobody_else_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tidegate/query_history");
        let mut history = History::read(&file);
        ["select 1;", "select 2;", "select 2;", "  "].iter().for_each(|line| history.add(line));
        let history = History::read(&file);
        assert_eq!((history.ago(1), history.ago(2)), (Some("select 2;"), Some("select 1;")));
        assert_eq!((history.ago(0), history.ago(3)), (None, None));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn the_file_does_not_grow_without_bound() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("query_history");
        fs::write(&file, (0..KEPT + 5).map(|number| format!("select {number};\n")).collect::<String>()).unwrap();
        assert_eq!(History::read(&file).ago(KEPT), Some("select 5;"));
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), KEPT);
    }
}
