//! What begins with `\`.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::arguments::RowFormat;

/// A command of the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Quit,
    Help,
    /// The tables, or the columns of one.
    Describe(Option<String>),
    /// The functions, or those whose names have this in them.
    Functions(Option<String>),
    /// On, off, or the other of both.
    Timing(Option<bool>),
    Expanded(Option<bool>),
    Format(RowFormat),
    /// Where results go; `None`: to the terminal again.
    Output(Option<PathBuf>),
    Include(PathBuf),
}

/// The commands, as help shows them.
pub(super) const COMMANDS: &[(&str, &str)] = &[
    ("\\d", "tables"),
    ("\\d TABLE", "the columns of a table"),
    ("\\df [PART]", "functions, or those with PART in their names"),
    ("\\timing [on|off]", "how long each statement took"),
    ("\\x [on|off]", "a line for each column"),
    ("\\format FORMAT", "text, json, jsonl, csv or markdown"),
    ("\\o [FILE]", "write results to a file; without a name, to the terminal again"),
    ("\\i FILE", "the statements of a file"),
    ("\\?", "this list"),
    ("\\q", "the end; Ctrl-D too"),
];

impl Command {
    /// Reads a line. `None` where it is no command.
    pub(super) fn parse(line: &str) -> Option<Result<Self, String>> {
        let line = line.trim().trim_end_matches(';').trim_end();
        if matches!(line, "exit" | "quit") {
            return Some(Ok(Self::Quit));
        }
        let (name, argument) = line.strip_prefix('\\')?.split_once(char::is_whitespace).unwrap_or((&line[1..], ""));
        let argument = Some(argument.trim()).filter(|argument| !argument.is_empty());
        let text = argument.map(str::to_owned);
        Some(match name {
            "q" => Ok(Self::Quit),
            "?" | "h" | "help" => Ok(Self::Help),
            "d" | "dt" => Ok(Self::Describe(text)),
            "df" => Ok(Self::Functions(text)),
            "timing" => switch(name, argument).map(Self::Timing),
            "x" => switch(name, argument).map(Self::Expanded),
            "format" => format(argument).map(Self::Format),
            "o" => Ok(Self::Output(argument.map(PathBuf::from))),
            "i" => argument.map(|file| Self::Include(file.into())).ok_or_else(|| "`\\i` takes a file".to_owned()),
            _ => Err(format!("there is no command `\\{name}`\nhelp: `\\?` lists those that there are")),
        })
    }
}

fn switch(name: &str, argument: Option<&str>) -> Result<Option<bool>, String> {
    match argument {
        None => Ok(None),
        Some("on") => Ok(Some(true)),
        Some("off") => Ok(Some(false)),
        Some(other) => Err(format!("`\\{name}` is on or off, not `{other}`")),
    }
}

fn format(argument: Option<&str>) -> Result<RowFormat, String> {
    let known = RowFormat::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    let known: Vec<String> = known.map(|value| value.get_name().to_owned()).collect();
    let format = argument.and_then(|argument| RowFormat::from_str(argument, true).ok());
    format.ok_or_else(|| format!("`\\format` is one of {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<Result<Command, String>> {
        Command::parse(line)
    }

    #[test]
    fn what_begins_with_a_backslash_is_a_command() {
        for (line, expected) in [
            ("\\q", Command::Quit),
            ("  quit ;", Command::Quit),
            ("\\d", Command::Describe(None)),
            ("\\d host_user;\n", Command::Describe(Some("host_user".to_owned()))),
            ("\\df cidr", Command::Functions(Some("cidr".to_owned()))),
            ("\\timing off", Command::Timing(Some(false))),
            ("\\x", Command::Expanded(None)),
            ("\\format CSV", Command::Format(RowFormat::Csv)),
            ("\\o", Command::Output(None)),
            ("\\o a b.csv", Command::Output(Some("a b.csv".into()))),
            ("\\i x.sql", Command::Include("x.sql".into())),
            ("\\?", Command::Help),
        ] {
            assert_eq!(parsed(line), Some(Ok(expected)), "{line}");
        }
        assert_eq!(parsed("select 1"), None);
        assert_eq!(parsed(""), None);
    }

    #[test]
    fn what_is_wrong_with_a_command_is_told() {
        for (line, expected) in [
            ("\\z", "no command `\\z`"),
            ("\\timing maybe", "on or off, not `maybe`"),
            ("\\format xml", "text, json, jsonl, csv, markdown"),
            ("\\i", "takes a file"),
        ] {
            assert!(parsed(line).unwrap().unwrap_err().contains(expected), "{line}");
        }
    }
}
