//! Records and their bytes.

use super::*;

#[tokio::test]
async fn a_long_record_that_repeats_itself_is_compressed_and_one_of_noise_is_not() {
    let effects = |body: Vec<u8>| {
        let payload = EffectPayload { key: None, body };
        let effects = vec![OutboxEffect { step: StepNumber(1), row: 0, payload }];
        Record::Outbox(OutboxRecord { sink: "page".into(), input: 0, through: StepNumber(1), effects })
    };
    let mut number = 1_u64;
    let mut noise = || {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (number >> 56) as u8
    };
    let written = vec![
        effects(b"{\"text\":\"page somebody\"}".repeat(1_000)),
        effects((0..20_000).map(|_| noise()).collect()),
        effects(vec![b'x'; 1_000]),
    ];
    let versions: Vec<u8> = written.iter().map(|record| record.encode().unwrap().version).collect();
    assert_eq!(versions, [record::COMPRESSED, record::PLAIN, record::PLAIN]);
    assert!(written[0].encode().unwrap().payload.len() < 1_000);
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path()).unwrap();
    for record in &written {
        journal.append(record).unwrap();
    }
    assert_eq!(records(journal.read(StepNumber::ZERO)).unwrap(), written);
}

fn text() -> impl Strategy<Value = String> {
    "[a-zé0-9:/]{0,12}"
}

fn body() -> impl Strategy<Value = StepBody> {
    let range = (text(), text(), any::<u128>(), any::<u64>()).prop_map(|(from, to, hash, bytes)| Range {
        from: Position(from.into()),
        to: Position(to.into()),
        hash,
        bytes,
    });
    let part =
        (any::<u32>(), prop::collection::vec(any::<u8>(), 0..50)).prop_map(|(port, ipc)| InlinePart { port, ipc });
    let rejected = (text(), text(), text()).prop_map(|(at, why, raw)| Rejected::new(at, why, raw.as_bytes()));
    let event = prop_oneof![
        Just(EngineEvent::Tick),
        Just(EngineEvent::Finished),
        text().prop_map(|text| EngineEvent::Definition { hash: ContentHash(text.into()) }),
        (text(), prop::collection::vec(any::<u8>(), 0..50)).prop_map(|(source, schema)| EngineEvent::Schema {
            source,
            version: SchemaVersion(3),
            schema
        }),
        (text(), prop::option::of(text())).prop_map(|(source, position)| EngineEvent::SourceEnded {
            source,
            position: position.map(|text| Position(text.into())),
            fingerprint: None,
        }),
    ];
    prop_oneof![
        (prop::collection::vec(range, 0..4), text())
            .prop_map(|(ranges, at)| StepBody::Reference { ranges, position: Position(at.into()) }),
        (prop::collection::vec(part, 0..4), prop::collection::vec(rejected, 0..3), text())
            .prop_map(|(parts, rejected, at)| StepBody::Inline { parts, rejected, position: Position(at.into()) }),
        event.prop_map(StepBody::Engine),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let step = (any::<u64>(), any::<i64>(), prop::option::of(any::<i64>()), body()).prop_map(
        |(number, time, watermark, body)| {
            Record::Step(StepRecord {
                header: StepHeader { time: StepTime(time), watermark, ..header(number % 1_000) },
                body,
            })
        },
    );
    let outcome =
        (text(), any::<u32>(), prop::option::of(text()), any::<i64>()).prop_map(|(effect, attempts, reason, time)| {
            Record::Outcome(OutcomeRecord {
                sink: "page".into(),
                effect,
                outcome: Outcome::Dead,
                attempts,
                reason,
                time,
            })
        });
    prop_oneof![step, outcome, any::<u64>().prop_map(outbox)]
}

proptest! {
    #[test]
    fn records_come_back_as_they_were(record in record()) {
        let encoded = record.encode().unwrap();
        prop_assert_eq!(Record::decode(encoded.kind, encoded.version, &encoded.payload).unwrap(), record);
    }

    #[test]
    fn a_flipped_byte_of_a_payload_is_an_error_or_another_record_and_never_a_panic(
        record in record(),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let mut encoded = record.encode().unwrap();
        let at = at.index(encoded.payload.len());
        encoded.payload[at] ^= flip;
        let _ = Record::decode(encoded.kind, encoded.version, &encoded.payload);
        let _ = Record::decode(encoded.kind, encoded.version, &encoded.payload[..at]);
    }

    #[test]
    fn bytes_that_are_no_record_never_panic(kind in 0_u8..5, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Record::decode(kind, 1, &bytes);
        let _ = Record::decode(kind, 2, &bytes);
    }
}
