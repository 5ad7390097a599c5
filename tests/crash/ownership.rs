//! One writer at a time.

use crate::events::{self, OUTPUTS};
use crate::program::{Folder, Outputs};

#[test]
fn a_second_process_on_the_same_pipeline_is_refused_with_the_owners_pid() {
    let pipeline = "version: 1\nname: endless\nsources: {t: {tick: {delay: 0.05}}}\nsinks: {d: {from: t, drop: {}}}\n";
    let folder = Folder::with(&[("pipeline.yaml", pipeline)]);
    let mut first = folder.start(&["run", "pipeline.yaml"]);
    first.until("it owns the directory", || !folder.read(".tidegate/endless/owner").trim().is_empty());
    folder.run(&["run", "pipeline.yaml"]).code(3).said(&[&first.id().to_string()]);
}

#[test]
fn processes_that_race_for_one_directory_run_it_once() {
    let undisturbed = events::home(3_000);
    undisturbed.run(&["run", "pipeline.yaml"]).code(0);
    let expected = Outputs::of(undisturbed.path(), OUTPUTS);

    let folder = events::home(3_000);
    let racing: Vec<_> = (0..6).map(|_| folder.start(&["run", "pipeline.yaml"])).collect();
    let mut good = 0;
    for ended in racing.into_iter().map(|running| running.wait()) {
        match ended.code {
            Some(0) => good += 1,
            _ => drop(ended.code(3).said(&["is in use by"])),
        }
    }
    assert!(good >= 1);
    Outputs::of(folder.path(), OUTPUTS).assert_same(&expected, "after the race");
    folder.run(&["run", "pipeline.yaml"]).code(0);
    Outputs::of(folder.path(), OUTPUTS).assert_same(&expected, "after another run");
}
