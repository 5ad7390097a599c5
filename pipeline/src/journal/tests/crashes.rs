//! Whatever a crash leaves of what was not durable, recovery finds a beginning of what was written, and in it all
//! that was durable.

use super::*;

/// Length of the files of these journals.
const FILES: u64 = 700;

#[derive(Debug, Clone)]
enum Action {
    Step(usize),
    Outbox,
    Synchronise,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![4 => (0_usize..400).prop_map(Action::Step), 1 => Just(Action::Outbox), 2 => Just(Action::Synchronise)]
}

/// What stands behind the place where the disk stopped writing.
#[derive(Debug, Clone)]
enum Tail {
    Nothing,
    Zeros(usize),
    Noise(Vec<u8>),
}

impl Tail {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Zeros(count) => vec![0; *count],
            Self::Noise(bytes) => bytes.clone(),
        }
    }
}

fn tail() -> impl Strategy<Value = Tail> {
    prop_oneof![
        Just(Tail::Nothing),
        (1_usize..600).prop_map(Tail::Zeros),
        prop::collection::vec(any::<u8>(), 1..600).prop_map(Tail::Noise)
    ]
}

/// What has become of the files behind that place.
#[derive(Debug, Clone, Copy)]
enum Later {
    Gone,
    Zeros,
    Whole,
}

#[derive(Debug, Clone)]
struct Crash {
    /// How much of what was not durable has reached the disk, in thousandths.
    kept: u64,
    tail: Tail,
    later: Later,
    mark_is_lost: bool,
}

fn crash() -> impl Strategy<Value = Crash> {
    let later = prop_oneof![Just(Later::Gone), Just(Later::Zeros), Just(Later::Whole)];
    (0_u64..=1_000, tail(), later, any::<bool>()).prop_map(|(kept, tail, later, mark_is_lost)| Crash {
        kept,
        tail,
        later,
        mark_is_lost,
    })
}

/// Does the actions, then leaves in `after` what the disk holds after the crash. What was written, each with the
/// position after it, and what of it was durable.
fn live_and_crash(
    actions: &[Action],
    crash: &Crash,
    after: &Path,
) -> (Vec<(JournalPosition, Record)>, JournalPosition) {
    let before = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open_with_files_of(FILES, before.path()).unwrap();
    let mut written: Vec<(JournalPosition, Record)> = Vec::new();
    let mut number = 0;
    for action in actions {
        let record = match action {
            Action::Step(length) => {
                number += 1;
                step(number, *length)
            }
            Action::Outbox => outbox(number),
            Action::Synchronise => {
                let end = written.last().map_or(JournalPosition::START, |(end, _)| *end);
                futures::executor::block_on(journal.sync(end)).unwrap();
                continue;
            }
        };
        written.push((journal.append(&record).unwrap(), record));
    }
    let (durable, end) = (journal.durable(), journal.end());
    // Reading hands everything to the system; only the disk has not got it.
    drop(journal.read(StepNumber::ZERO).unwrap());
    let cut = durable.0 + (end.0 - durable.0) * crash.kept / 1_000;
    copy_what_is_left(before.path(), after, cut, crash);
    (written, durable)
}

fn copy_what_is_left(before: &Path, after: &Path, cut: u64, crash: &Crash) {
    let (from, to) = (before.join(FOLDER), after.join(FOLDER));
    fs::create_dir_all(&to).unwrap();
    if !crash.mark_is_lost {
        fs::copy(from.join(slots::NAME), to.join(slots::NAME)).unwrap();
    }
    let mut start = 0;
    for file in scan::list(&from).unwrap() {
        let whole = fs::read(&file.path).unwrap();
        let place = to.join(file.path.file_name().unwrap());
        let end = start + whole.len() as u64;
        if end <= cut {
            fs::write(place, &whole).unwrap();
        } else if start < cut {
            let kept = &whole[..(cut - start) as usize];
            fs::write(place, [kept, &crash.tail.bytes()].concat()).unwrap();
        } else {
            match crash.later {
                Later::Gone => {}
                Later::Zeros => fs::write(place, vec![0; whole.len()]).unwrap(),
                Later::Whole => fs::write(place, &whole).unwrap(),
            }
        }
        start = end;
    }
}

/// `PROPTEST_CASES` tries more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn recovery_finds_a_beginning_of_what_was_written_and_in_it_all_that_was_durable(
        actions in prop::collection::vec(action(), 0..40),
        crash in crash(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let (written, durable) = live_and_crash(&actions, &crash, directory.path());
        let (journal, recovery) = Journal::open_with_files_of(FILES, directory.path()).unwrap();
        let mut found = records(journal.read(StepNumber::ZERO)).unwrap();
        let promised = written.iter().filter(|(end, _)| *end <= durable).count();
        prop_assert!(found.len() >= promised, "{} of {promised} durable records are left", found.len());
        let beginning: Vec<Record> = written.iter().take(found.len()).map(|(_, record)| record.clone()).collect();
        prop_assert_eq!(&found, &beginning);

        let next = step(recovery.last_step.0 + 1, 100);
        futures::executor::block_on(journal.sync(journal.append(&next).unwrap())).unwrap();
        found.push(next);
        drop(journal);
        let (journal, recovery) = Journal::open_with_files_of(FILES, directory.path()).unwrap();
        prop_assert_eq!(recovery.torn, None);
        prop_assert_eq!(records(journal.read(StepNumber::ZERO)).unwrap(), found);
    }
}
