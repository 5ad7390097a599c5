//! Those who wait for the disk at the same time wait together.

use super::*;

#[tokio::test]
async fn those_who_wait_together_share_one_wait_for_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path()).unwrap();
    let before = journal.syncs();
    let positions: Vec<_> = (1..=100).map(|number| journal.append(&step(number, 10)).unwrap()).collect();
    let waiting = positions.iter().map(|position| journal.sync(*position));
    assert!(futures::future::join_all(waiting).await.iter().all(Result::is_ok));
    assert_eq!(journal.syncs() - before, 1);
}

#[tokio::test]
async fn callers_who_come_back_after_a_synchronisation_share_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path()).unwrap();
    let number = std::sync::atomic::AtomicU64::new(0);
    let (callers, rounds) = (32, 20);
    let before = journal.syncs();
    let append = parking_lot::Mutex::new(());
    let caller = || async {
        for _ in 0..rounds {
            let position = {
                let _turn = append.lock();
                let next = number.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                journal.append(&step(next, 100)).unwrap()
            };
            journal.sync(position).await.unwrap();
        }
    };
    futures::future::join_all((0..callers).map(|_| caller())).await;
    let syncs = journal.syncs() - before;
    assert!(syncs < rounds * callers as u64 / 2, "{syncs} synchronisations for {rounds} rounds of {callers} callers");
    assert_eq!(records(journal.read(StepNumber::ZERO)).unwrap().len(), callers * rounds as usize);
}

#[test]
fn as_many_callers_are_waited_for_as_were_served_and_not_for_long() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let recovered = recover::recover(&disk, directory.path(), INCARNATION, SHARD).unwrap();
    let place = directory.path().to_owned();
    let writer = Writer::new(disk.clone(), place.clone(), INCARNATION, SHARD, Rotation(1_000), recovered).unwrap();
    let shared = Shared::new(disk, place, writer);
    let patience = std::time::Duration::from_millis(4);
    let waited = || {
        let started = std::time::Instant::now();
        assert!(shared.wait(patience));
        started.elapsed()
    };
    let want = |callers| shared.want(JournalPosition(1), callers);
    want(3);
    waited();
    // Three were served: two of them have come back, and the third is waited for.
    want(1);
    want(1);
    assert!(waited() >= patience);
    // Two were served.
    want(2);
    assert_eq!(shared.missing(), 0);
    want(5);
    waited();
    want(1);
    assert_eq!(shared.missing(), 6);
}
