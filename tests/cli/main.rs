//! Whole-program tests of the command line: what each command prints, and with which code it ends.

mod checking;
mod commands;
mod files;
mod program;
mod running;
mod state;
mod testing;
mod validating;
