//! Journals as earlier programs have written them stay readable.
//!
//! A folder per version holds a journal, and beside it stands as text what it says. When the format changes: raise
//! [`NEWEST`], let [`written_in`] that version have what is new, run this test with `TIDEGATE_WRITE_GOLDEN=1`, look at
//! the new text, and add both to the repository. Files of earlier versions are never written again.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::util::pretty::pretty_format_batches;

use super::*;
use crate::journal::record::{DeadLetter, Failure};
use crate::step::{Scope, ScopeOutcome};

/// The version that this program writes.
const NEWEST: u32 = 5;
const WRITE: &str = "TIDEGATE_WRITE_GOLDEN";

fn golden(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/journal/tests/golden").join(format!("v{version}"))
}

fn batch(rows: i64) -> RecordBatch {
    let numbers = Int64Array::from_iter_values(0..rows);
    let names = StringArray::from_iter_values((0..rows).map(|row| format!("resource {row}")));
    RecordBatch::try_from_iter([("n", Arc::new(numbers) as _), ("name", Arc::new(names) as _)]).unwrap()
}

/// A record of each kind, of each body, and of each form that its bytes can have in that version.
fn written_in(version: u32) -> Vec<Record> {
    let scope = Scope { account_id: "123".into(), region: "eu-west-1".into(), table: "volume".into() };
    let at = |text: &str| Position(text.into());
    let range = Range { from: at("0"), to: at("512"), hash: 0x0123_4567_89ab_cdef, bytes: 512 };
    let rejected = vec![Rejected::new("events.jsonl:3", "no JSON", b"{\"broken")];
    let inline = |rows| StepBody::Inline {
        parts: vec![InlinePart { port: 1, ipc: encode_batch(&batch(rows)).unwrap() }],
        rejected: rejected.clone(),
        position: at("{\"offset\":7}"),
    };
    let hash = ContentHash::of(b"a definition");
    let schema = encode_schema(batch(0).schema_ref()).unwrap();
    let (node, name, source) = ("owned".to_owned(), "owners.csv".to_owned(), "events".to_owned());
    let ended =
        EngineEvent::SourceEnded { source: source.clone(), position: Some(at("9")), fingerprint: Some("{}".into()) };
    let bodies = [
        (Unit::Rows, StepBody::Engine(EngineEvent::Definition { hash: hash.clone() })),
        (Unit::Rows, StepBody::Engine(EngineEvent::Lookup { node, name, hash })),
        (Unit::Rows, StepBody::Engine(EngineEvent::Schema { source, version: SchemaVersion(2), schema })),
        (Unit::Rows, StepBody::Reference { ranges: vec![range], position: at("512") }),
        (Unit::Begin(scope.clone()), StepBody::Inline { parts: vec![], rejected: vec![], position: at("1") }),
        (Unit::Page(scope.clone()), inline(3)),
        (Unit::End(scope.clone(), ScopeOutcome::Failed("denied".into())), inline(0)),
        (Unit::End(scope.clone(), ScopeOutcome::Complete), inline(2_000)),
        (Unit::Rows, StepBody::Engine(EngineEvent::Tick)),
        (Unit::Rows, StepBody::Engine(ended)),
        (Unit::Rows, StepBody::Engine(EngineEvent::Finished)),
    ];
    let record = |(number, (unit, body))| {
        Record::Step(StepRecord { header: StepHeader { unit, watermark: Some(5), ..header(number) }, body })
    };
    let mut records: Vec<Record> = (1..).zip(bodies).map(record).collect();
    records.push(outbox(11));
    let (sink, effect, reason) = ("page".to_owned(), "p/0/1/page/0/11/0".to_owned(), Some("refused".to_owned()));
    records.push(Record::Outcome(OutcomeRecord { sink, effect, outcome: Outcome::Dead, attempts: 3, reason, time: 0 }));
    if version == 1 {
        return records;
    }
    // Version 2 compresses long records.
    let body = "{\"text\":\"page somebody\"}".repeat(400).into_bytes();
    let effects =
        vec![OutboxEffect { step: StepNumber(11), row: 1, payload: EffectPayload { key: Some("k".into()), body } }];
    records.push(Record::Outbox(OutboxRecord { sink: "page".into(), input: 1, through: StepNumber(11), effects }));
    if version == 2 {
        return records;
    }
    // Version 3 knows nodes that join, what becomes of effects on somebody's word or by a rule, and tries.
    let joined = StepBody::Engine(EngineEvent::Joined { nodes: vec!["owned".into(), "found".into()] });
    records.push(record((12, (Unit::Rows, joined))));
    for (row, outcome) in [Outcome::Done, Outcome::Discarded, Outcome::Suppressed, Outcome::Retried, Outcome::Tried]
        .into_iter()
        .enumerate()
    {
        let (sink, effect, reason) = ("page".to_owned(), format!("p/0/1/page/1/11/{row}"), None);
        records.push(Record::Outcome(OutcomeRecord { sink, effect, outcome, attempts: 2, reason, time: 0 }));
    }
    if version == 3 {
        return records;
    }
    // Version 4 knows changes of objects that were read by themselves.
    let part = InlinePart { port: 1, ipc: encode_batch(&batch(2)).unwrap() };
    let changes =
        StepBody::Inline { parts: vec![part], rejected: vec![], position: at("{\"refresh\":1,\"arrival\":7}") };
    records.push(record((13, (Unit::Targeted(scope), changes))));
    if version == 4 {
        return records;
    }
    // Version 5 knows when effects were given up, and tells of it.
    let (sink, effect, reason) = ("page".to_owned(), "p/0/1/page/1/11/9".to_owned(), Some("refused".to_owned()));
    records.push(Record::Outcome(OutcomeRecord { sink, effect, outcome: Outcome::Dead, attempts: 2, reason, time: 9 }));
    let letter = DeadLetter {
        effect: "p/0/1/page/1/11/9".to_owned(),
        step: StepNumber(11),
        row: 9,
        key: Some("k".to_owned()),
        reason: "refused".to_owned(),
        attempts: 2,
        history: vec![Failure { attempt: 1, time: 8, reason: "busy".to_owned() }],
        body: "{}".to_owned(),
        given_up_at: 9,
    };
    let given_up = StepBody::Engine(EngineEvent::GivenUp { sink: "page".to_owned(), letters: vec![letter] });
    records.push(record((14, (Unit::Rows, given_up))));
    records.push(record((15, (Unit::Rows, StepBody::Engine(EngineEvent::Drained { depth: 1 })))));
    // It knows approvals.
    for (row, outcome) in [Outcome::Held, Outcome::Approved].into_iter().enumerate() {
        let (sink, effect, reason) = ("close".to_owned(), format!("p/0/1/close/0/11/{row}"), Some("{}".to_owned()));
        records.push(Record::Outcome(OutcomeRecord { sink, effect, outcome, attempts: 0, reason, time: 7 }));
    }
    records
}

/// What a journal says, as text: encoded batches and schemas as what they hold.
fn said(directory: &Path) -> String {
    let mut text = String::new();
    for record in read_directory(directory, StepNumber::ZERO).unwrap() {
        let (_, mut record) = record.unwrap();
        let mut held = String::new();
        match &mut record {
            Record::Step(StepRecord { body: StepBody::Inline { parts, .. }, .. }) => {
                for part in parts {
                    let rows = decode_batch(&std::mem::take(&mut part.ipc)).unwrap();
                    let shown = pretty_format_batches(&[rows.slice(0, rows.num_rows().min(3))]).unwrap();
                    let _ = writeln!(held, "{} rows, of them\n{shown}", rows.num_rows());
                }
            }
            Record::Step(StepRecord { body: StepBody::Engine(EngineEvent::Schema { schema, .. }), .. }) => {
                for field in decode_schema(&std::mem::take(schema)).unwrap().fields() {
                    let _ = writeln!(held, "{} {}", field.name(), field.data_type());
                }
            }
            Record::Outbox(outbox) => {
                for effect in &mut outbox.effects {
                    let body = String::from_utf8(std::mem::take(&mut effect.payload.body)).unwrap();
                    let _ = writeln!(held, "{} bytes: {}", body.len(), &body[..body.len().min(40)]);
                }
            }
            _ => {}
        }
        let _ = writeln!(text, "{record:?}\n{held}");
    }
    text
}

fn write_golden(version: u32, place: &Path) {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path()).unwrap();
    let ends: Vec<_> = written_in(version).iter().map(|record| journal.append(record).unwrap()).collect();
    futures::executor::block_on(journal.sync(ends[ends.len() - 1])).unwrap();
    drop(journal);
    fs::create_dir_all(place.join(FOLDER)).unwrap();
    for entry in fs::read_dir(directory.path().join(FOLDER)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, place.join(FOLDER).join(path.file_name().unwrap())).unwrap();
    }
    fs::write(place.with_extension("txt"), said(place)).unwrap();
}

#[test]
fn journals_of_all_versions_are_readable_and_say_what_they_said() {
    for version in 1..=NEWEST {
        let place = golden(version);
        if std::env::var_os(WRITE).is_some() && !place.exists() {
            write_golden(version, &place);
        }
        assert!(place.is_dir(), "{} is missing: the head of this file says how to make it", place.display());
        let expected = fs::read_to_string(place.with_extension("txt")).unwrap();
        assert_eq!(said(&place), expected, "version {version}");
        // It can be gone on with, too.
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir_all(copy.path().join(FOLDER)).unwrap();
        for entry in fs::read_dir(place.join(FOLDER)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, copy.path().join(FOLDER).join(path.file_name().unwrap())).unwrap();
        }
        let (journal, recovery) = open(copy.path()).unwrap();
        let last = [11, 11, 12, 13, 13][version as usize - 1];
        assert_eq!((recovery.last_step, recovery.torn), (StepNumber(last), None), "version {version}");
        let next = step(last + 1, 10);
        journal.append(&next).unwrap();
        assert!(records(journal.read(StepNumber(last + 1))).unwrap().contains(&next));
    }
}

/// Which versions of frames the newest journal holds: the golden files must cover all that this program writes.
#[test]
fn the_newest_journal_holds_frames_of_every_form() {
    let file = golden(NEWEST).join(FOLDER).join("00000000000000000001.journal");
    let scan::Opened::Scanner(mut scanner) = scan::Scanner::open(&file, None).unwrap() else { panic!("no head") };
    let mut forms = std::collections::BTreeSet::new();
    while let scan::Scanned::Frame(frame) = scanner.next().unwrap() {
        forms.insert(frame.head.version);
    }
    assert_eq!(forms.into_iter().collect::<Vec<_>>(), [record::PLAIN, record::COMPRESSED]);
}
