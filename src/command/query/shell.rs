//! The shell: statements from stdin.

use std::io::{BufRead, IsTerminal};
use std::time::Instant;

use datafusion::prelude::SessionContext;
use tidegate_pipeline::table::past::Shown;

use super::answer;
use crate::arguments::Format;
use crate::exit::{DONE, Failure};
use crate::output;

/// Reads statements that end in `;`, or with the input, from stdin and answers each. An error ends none but its
/// own statement; without a person at the prompt, the program's exit code still tells of it.
pub(super) async fn shell(session: &SessionContext, shown: &Shown, format: Format) -> Result<u8, Failure> {
    let prompted = std::io::stdin().is_terminal();
    let mut statement = String::new();
    let mut code = DONE;
    if prompted {
        output::print(&format!(
            "SQL over the tables as of {} (step {}); statements end with `;`, `\\d` lists tables, `\\q` ends.\n",
            shown.time, shown.step
        ))?;
    }
    loop {
        if prompted {
            output::print(if statement.is_empty() { "tidegate> " } else { "       -> " })?;
        }
        let mut line = String::new();
        let ended = std::io::stdin().lock().read_line(&mut line)? == 0;
        let started = Instant::now();
        let answered = match line.trim() {
            "\\q" | "exit" | "quit" if statement.is_empty() => return Ok(code),
            "\\d" if statement.is_empty() => tables(session, format).await,
            command if statement.is_empty() && command.starts_with("\\d ") => {
                columns(session, &command[3..], format).await
            }
            _ => {
                statement.push_str(&line);
                if !(ended || statement.trim_end().ends_with(';')) {
                    continue;
                }
                let sql = std::mem::take(&mut statement);
                match sql.trim().trim_end_matches(';') {
                    "" => Ok(()),
                    sql => answer(session, sql, format).await,
                }
            }
        };
        match answered {
            Ok(()) if prompted && !ended => output::print(&format!("{:.1?}\n", started.elapsed()))?,
            Ok(()) => {}
            Err(failure) => {
                eprintln!("error: {}", failure.message);
                if !prompted {
                    code = failure.code;
                }
            }
        }
        if ended {
            return Ok(code);
        }
    }
}

async fn tables(session: &SessionContext, format: Format) -> Result<(), Failure> {
    let sql = "select table_name from information_schema.tables where table_schema = 'public' order by 1";
    answer(session, sql, format).await
}

async fn columns(session: &SessionContext, table: &str, format: Format) -> Result<(), Failure> {
    let name = table.trim().replace('\'', "''");
    let sql = format!(
        "select column_name, data_type, is_nullable from information_schema.columns where table_name = '{name}' order by ordinal_position"
    );
    answer(session, &sql, format).await
}
