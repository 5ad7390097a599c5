//! Two owners of one directory, where no lock keeps them apart.

use std::sync::Arc;
use std::time::Duration;

use tidegate_pipeline::sink::Attempt;

use crate::given::{Given, rows};
use crate::stage::{Stage, checkpoints};

const PLAIN: &str = "
checkpoint: {every: 5ms}
sources: {in: {given: {}}}
sinks: {page: {from: in, dispatch: {}}}
";

#[test]
fn an_owner_whose_directory_was_taken_over_commits_and_sends_nothing_more_and_ends() {
    let pause = |_| {
        std::thread::sleep(Duration::from_millis(2));
        Ok(())
    };
    let mut stage = Stage::new(PLAIN).give("in", Given::new(vec![rows(0..1)]).repeating().with_hook(pause));
    stage.answer = Arc::new(|_| Attempt::Done);
    let epoch = stage.directory().join("epoch");
    let (taken, after) = (std::cell::Cell::new(false), std::cell::Cell::new((0, 0)));
    let attempts = Arc::clone(&stage.attempts);
    let error = stage
        .stop_when(|status| {
            if checkpoints(status) >= 3 && !taken.replace(true) {
                // What another process would write that opens the directory.
                let text = r#"{"epoch":99,"token":"another","process":4711}"#;
                std::fs::write(&epoch, text).unwrap();
                // What was on its way already may arrive.
                std::thread::sleep(Duration::from_millis(100));
                after.set((attempts.lock().len(), checkpoints(status)));
            }
            assert!(!taken.get() || checkpoints(status) <= after.get().1 + 1, "a stale owner has committed");
            false
        })
        .unwrap_err();
    assert!(error.message.contains("process 4711 has taken this pipeline's directory over"), "{error}");
    assert!(attempts.lock().len() <= after.get().0 + 1, "a stale owner has sent something");
}
