//! The commands, a file each.

mod check;
mod checkpoint;
mod completions;
mod component;
mod effects;
mod explain;
mod fate;
mod graph;
mod init;
mod journal;
mod plan;
mod provider;
mod query;
mod replay;
mod run;
mod schema;
mod source;
mod test;
mod validate;
mod waivers;

use std::process::ExitCode;

use crate::arguments::{Arguments, Command};
use crate::exit::Failure;

/// Executes the command and says with which code the program ends.
pub(crate) async fn execute(arguments: Arguments) -> ExitCode {
    let queries = arguments.queries.as_deref();
    let result: Result<u8, Failure> = match arguments.command {
        Command::Run(arguments) => run::run(arguments, queries).await,
        Command::Check(arguments) => check::check(arguments, queries).await,
        Command::Plan(arguments) => plan::plan(&arguments, queries).await,
        Command::Query(arguments) => query::query(arguments, queries).await,
        Command::Explain(arguments) => explain::explain(arguments, queries).await,
        Command::Replay(arguments) => replay::replay(arguments, queries).await,
        Command::Validate(arguments) => validate::validate(&arguments, queries),
        Command::Graph(arguments) => graph::graph(&arguments, queries),
        Command::Test(arguments) => test::test(arguments, queries).await,
        Command::Checkpoint(command) => checkpoint::checkpoint(command, queries),
        Command::Effects(command) => effects::effects(command, queries),
        Command::Journal(command) => journal::journal(command, queries),
        Command::Component(command) => component::component(command, queries),
        Command::Provider(command) => provider::provider(command, queries).await,
        Command::Source(command) => source::source(command, queries).await,
        Command::Waivers(command) => waivers::waivers(command, queries),
        Command::Init(arguments) => init::init(&arguments),
        Command::Schema => schema::schema(queries),
        Command::Completions { shell } => completions::completions(shell),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if !failure.message.is_empty() {
                crate::output::told!("error: {}", failure.message);
            }
            ExitCode::from(failure.code)
        }
    }
}
