//! Objects that are read by themselves.

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;
use crate::provider::{Extent, Notice, RefreshRequest, Schedule, ScopeGroup, ScopeSelector, Target};
use crate::source::PlannedSource;
use crate::testing::world::World;

/// Rows of an object: object, id, value.
type Things = [(&'static str, i64, i64)];

pub(super) fn of_objects(name: &str) -> TableDefinition {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    let fields = vec![
        text("account_id"),
        text("region"),
        text("arn"),
        text("object"),
        number("id"),
        number("value"),
        number("_collected_at"),
    ];
    let definition = TableDefinition::new(name, "Parts of objects", Arc::new(Schema::new(fields)), ["id"]);
    TableDefinition { target: Some("object"), ..definition }
}

fn rows(region: &str, things: &Things) -> RecordBatch {
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; things.len()])) };
    let number =
        |of: fn(&(&str, i64, i64)) -> i64| -> ArrayRef { Arc::new(things.iter().map(of).collect::<Int64Array>()) };
    let columns = vec![
        text("a"),
        text(region),
        text("arn"),
        Arc::new(things.iter().map(|(object, _, _)| Some(*object)).collect::<StringArray>()),
        number(|(_, id, _)| *id),
        number(|(_, _, value)| *value),
        number(|_| 0),
    ];
    RecordBatch::try_new(of_objects("thing").schema, columns).unwrap()
}

fn scope_of(region: &str, table: &str) -> Scope {
    Scope { account_id: "a".into(), region: region.into(), table: table.into() }
}

fn target(region: &str, id: &str) -> Target {
    Target { scope: scope_of(region, "thing"), id: id.into() }
}

/// A world of two tables in two regions, in which every object has a thing and a part.
fn world() -> Arc<World> {
    let groups = ["r", "s"].map(|region| ScopeGroup::new("a", region, ["thing", "part"]));
    World::new(vec![of_objects("thing"), of_objects("part")], groups.to_vec())
}

/// A world whose source is open, and what takes its arrivals in.
struct Open {
    tables: Tables,
    planned: PlannedSource,
    source: Box<dyn Source>,
    arrivals: Vec<Arrival>,
}

impl Open {
    async fn new(world: &Arc<World>, schedule: Schedule) -> Self {
        let planned = planned_provider_source(Arc::clone(world), schedule);
        assert!(planned.acknowledges, "a provider that hears notices wants to know what is durable");
        let tables = Tables::new(vec![of_objects("thing"), of_objects("part")]).unwrap();
        let source = planned.open.open(context(&tables)).await.unwrap();
        Self { tables, planned, source, arrivals: Vec::new() }
    }

    /// Takes arrivals in until `done`; with `durable` each is acknowledged.
    async fn until(&mut self, durable: bool, done: impl Fn(&Self) -> bool) {
        let taking = async {
            while !done(self) {
                let Ok(arrival) = timeout(SOON, self.source.next()).await else { continue };
                let arrival = arrival.unwrap().unwrap();
                self.tables.apply(&arrival.unit, arrival.rows.iter().map(|(_, batch)| batch)).unwrap();
                if durable {
                    self.source.acknowledge(&arrival.position).await.unwrap();
                }
                self.arrivals.push(arrival);
            }
        };
        timeout(Duration::from_secs(600), taking).await.expect("it never comes to that");
    }

    /// Takes arrivals in until nothing has come for long.
    async fn quiet(&mut self) {
        let mut silent = 0;
        while silent < 20 {
            match timeout(Duration::from_secs(1), self.source.next()).await {
                Ok(arrival) => {
                    let arrival = arrival.unwrap().unwrap();
                    self.tables.apply(&arrival.unit, arrival.rows.iter().map(|(_, batch)| batch)).unwrap();
                    self.source.acknowledge(&arrival.position).await.unwrap();
                    self.arrivals.push(arrival);
                }
                Err(_) => silent += 1,
            }
        }
    }

    fn lines(&mut self) -> Vec<String> {
        let describe = |arrival: Arrival| match &arrival.unit {
            Unit::Targeted(scope) => {
                let rows: usize = arrival.rows.iter().map(|(_, batch)| batch.num_rows()).sum();
                format!("{scope} targeted {rows}")
            }
            Unit::End(scope, outcome) => format!("{scope} {outcome:?}"),
            Unit::Begin(scope) => format!("{scope} begin"),
            Unit::Page(scope) => format!("{scope} page"),
            Unit::Rows => "rows".to_owned(),
        };
        std::mem::take(&mut self.arrivals).into_iter().map(describe).collect()
    }

    /// (object, id, value) of a table.
    fn contents(&self, region: &str, table: &str) -> Vec<(String, i64, i64)> {
        let current = self.tables.current();
        let slices = current.get(table).unwrap().rows_of_scope(&scope_of(region, table)).unwrap();
        let of = |batch: &RecordBatch| {
            let numbers = |index: usize| batch.column(index).as_primitive::<Int64Type>().values().to_vec();
            let objects = batch.column(3).as_string::<i32>().iter().map(|object| object.unwrap().to_owned());
            let rows = objects.zip(numbers(4)).zip(numbers(5)).map(|((object, id), value)| (object, id, value));
            rows.collect::<Vec<_>>()
        };
        slices.iter().flat_map(of).collect()
    }

    fn report(&self) -> crate::provider::RefreshReport {
        self.planned.refresh.as_ref().unwrap().status.report()
    }

    fn ask(&self, request: RefreshRequest) -> Result<(), Error> {
        self.planned.refresh.as_ref().unwrap().ask(request)
    }
}

fn owned(things: &Things) -> Vec<(String, i64, i64)> {
    things.iter().map(|(object, id, value)| ((*object).to_owned(), *id, *value)).collect()
}

fn notice(targets: Vec<Target>) -> (Notice, oneshot::Receiver<()>) {
    let (done, told) = oneshot::channel();
    (Notice { targets, done: Some(done), ..Notice::default() }, told)
}

const DAY: Schedule = Schedule::Every(Duration::from_secs(86_400));

async fn refreshed(world: &Arc<World>) -> Open {
    for region in ["r", "s"] {
        world.set(&scope_of(region, "thing"), vec![rows(region, &[("x", 1, 1), ("y", 2, 2)])]);
        world.set(&scope_of(region, "part"), vec![rows(region, &[("x", 10, 1), ("x", 11, 1), ("y", 20, 2)])]);
    }
    let mut open = Open::new(world, DAY).await;
    open.until(true, |open| open.report().refreshes == 1).await;
    open.quiet().await;
    open.lines();
    open
}

#[tokio::test(start_paused = true)]
async fn objects_that_have_changed_are_read_alone_in_all_tables_of_their_group() {
    let world = world();
    let mut open = refreshed(&world).await;
    // Both objects change, and only one is said to have.
    world.set(&scope_of("r", "thing"), vec![rows("r", &[("x", 1, 5), ("y", 2, 9)])]);
    world.set(&scope_of("r", "part"), vec![rows("r", &[("x", 11, 5), ("x", 12, 5), ("y", 20, 9)])]);
    let (told, mut done) = notice(vec![target("r", "x")]);
    world.notify(told);
    open.quiet().await;
    assert_eq!(open.lines(), ["a/r/thing targeted 1", "a/r/part targeted 3"]);
    assert_eq!(open.contents("r", "thing"), owned(&[("x", 1, 5), ("y", 2, 2)]));
    assert_eq!(open.contents("r", "part"), owned(&[("x", 11, 5), ("x", 12, 5), ("y", 20, 2)]));
    assert_eq!(open.contents("s", "part").len(), 3);
    assert_eq!(done.try_recv(), Ok(()));
    let asked = world.asked();
    assert_eq!(asked[2..], [(ScopeGroup::new("a", "r", ["thing", "part"]), Extent::Targets(vec!["x".into()]))]);
    assert!(open.tables.current().get("thing").unwrap().complete_for("a", "r"));

    // An object that is gone is gone with all its parts.
    world.set(&scope_of("r", "thing"), vec![rows("r", &[("y", 2, 9)])]);
    world.set(&scope_of("r", "part"), vec![rows("r", &[("y", 20, 9)])]);
    world.notify(notice(vec![target("r", "x"), target("r", "never heard of")]).0);
    open.quiet().await;
    assert_eq!(open.contents("r", "thing"), owned(&[("y", 2, 2)]));
    assert_eq!(open.contents("r", "part"), owned(&[("y", 20, 2)]));
    assert_eq!((open.report().targeted, open.report().targets), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_notice_is_done_when_what_it_changed_is_durable_and_not_before() {
    let world = world();
    let mut open = refreshed(&world).await;
    world.set(&scope_of("r", "thing"), vec![rows("r", &[("x", 1, 5), ("y", 2, 2)])]);
    let (told, mut done) = notice(vec![target("r", "x")]);
    world.notify(told);
    open.until(false, |open| !open.arrivals.is_empty()).await;
    for _ in 0..100 {
        assert!(timeout(Duration::from_secs(1), open.source.next()).await.is_err());
    }
    assert_eq!(done.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    // Another one, of what has not changed, waits for it too: what it finds may be what is not durable yet.
    let (told, mut same) = notice(vec![target("r", "x")]);
    world.notify(told);
    assert!(timeout(Duration::from_secs(1), open.source.next()).await.is_err());
    assert_eq!(same.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    let position = open.arrivals.last().unwrap().position.clone();
    open.source.acknowledge(&position).await.unwrap();
    assert_eq!((done.try_recv(), same.try_recv()), (Ok(()), Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_notices_costs_few_refreshes_and_all_of_them_are_done() {
    let world = world();
    let mut open = refreshed(&world).await;
    let mut waiting = Vec::new();
    for index in 0..10_000_u64 {
        let (told, done) = notice(vec![target("r", if index.is_multiple_of(2) { "x" } else { "y" })]);
        world.notify(told);
        waiting.push(done);
    }
    open.quiet().await;
    assert!(waiting.iter_mut().all(|done| done.try_recv() == Ok(())));
    assert!((1..=10).contains(&world.targeted()), "{}", world.targeted());
    assert!(open.report().merged > 9_000, "{:?}", open.report());
}

#[tokio::test(start_paused = true)]
async fn more_objects_than_the_threshold_become_their_whole_group() {
    let world = world();
    let mut open = refreshed(&world).await;
    world.notify(notice((0..101).map(|index| target("s", &format!("o{index}"))).collect()).0);
    open.quiet().await;
    assert_eq!(world.asked()[2..], [(ScopeGroup::new("a", "s", ["thing", "part"]), Extent::Whole)]);
    assert_eq!(open.report().escalated, 1);
}

#[tokio::test(start_paused = true)]
async fn objects_that_cannot_be_read_keep_their_rows_and_outcomes_and_are_tried_again() {
    let world = world();
    let mut open = refreshed(&world).await;
    world.set(&scope_of("r", "thing"), vec![rows("r", &[("y", 2, 2)])]);
    world.fail_targets(2);
    let (told, mut done) = notice(vec![target("r", "x")]);
    world.notify(told);
    open.until(true, |open| open.report().retried == 1).await;
    assert_eq!(open.contents("r", "thing"), owned(&[("x", 1, 1), ("y", 2, 2)]), "a failure deletes nothing");
    assert!(open.tables.current().get("thing").unwrap().complete_for("a", "r"));
    assert_eq!(done.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    open.quiet().await;
    assert_eq!(open.contents("r", "thing"), owned(&[("y", 2, 2)]));
    assert_eq!((done.try_recv(), open.report().retried), (Ok(()), 2));
}

#[tokio::test(start_paused = true)]
async fn objects_that_can_never_be_read_become_their_whole_group() {
    let world = world();
    let mut open = refreshed(&world).await;
    world.fail_targets(usize::MAX);
    let (told, mut done) = notice(vec![target("r", "x")]);
    world.notify(told);
    open.quiet().await;
    open.quiet().await;
    assert_eq!(world.asked().last().unwrap().1, Extent::Whole);
    assert_eq!((world.targeted(), done.try_recv()), (5, Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_was_never_read_is_read_wholly_and_one_that_failed_stays_failed() {
    let world = world();
    world.set(&scope_of("r", "thing"), vec![rows("r", &[("x", 1, 1), ("y", 2, 2)])]);
    let mut open = Open::new(&world, Schedule::Off).await;
    open.quiet().await;
    assert!(world.asked().is_empty(), "nothing asks for anything");
    world.notify(notice(vec![target("r", "x")]).0);
    open.quiet().await;
    assert_eq!(world.asked(), [(ScopeGroup::new("a", "r", ["thing", "part"]), Extent::Whole)]);
    assert_eq!(open.contents("r", "thing").len(), 2);

    // A page of another account makes the whole scope fail; then an object of it is read well.
    let foreign = rows("elsewhere", &[("x", 1, 1)]);
    world.set(&scope_of("r", "thing"), vec![foreign]);
    open.ask(RefreshRequest { region: Some("r".into()), ..RefreshRequest::default() }).unwrap();
    open.quiet().await;
    assert!(!open.tables.current().get("thing").unwrap().complete_for("a", "r"));
    world.set(&scope_of("r", "thing"), vec![rows("r", &[("x", 1, 7)])]);
    open.ask(RefreshRequest { table: Some("thing".into()), ids: vec!["x".into()], ..RefreshRequest::default() })
        .unwrap();
    open.quiet().await;
    assert_eq!(open.contents("r", "thing"), owned(&[("x", 1, 7), ("y", 2, 2)]));
    assert!(!open.tables.current().get("thing").unwrap().complete_for("a", "r"), "it never was read to its end");
}

#[tokio::test(start_paused = true)]
async fn a_part_that_moves_from_one_object_to_another_is_one_update() {
    let world = world();
    let mut open = refreshed(&world).await;
    // The part 20 of y belongs to x now.
    world.set(&scope_of("r", "part"), vec![rows("r", &[("x", 10, 1), ("x", 11, 1), ("x", 20, 3)])]);
    world.notify(notice(vec![target("r", "x")]).0);
    open.quiet().await;
    let moved = open.arrivals.iter().flat_map(|arrival| &arrival.rows).map(|(_, batch)| batch.clone());
    let operations: Vec<String> = moved.map(|batch| batch.column(0).as_string::<i32>().value(0).to_owned()).collect();
    assert_eq!(operations, ["update"]);
    assert_eq!(open.contents("r", "part"), owned(&[("x", 10, 1), ("x", 11, 1), ("x", 20, 3)]));
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_by_command_is_read_and_what_is_not_there_is_an_error() {
    let world = world();
    let mut open = refreshed(&world).await;
    let request = |table: &str, ids: &[&str]| RefreshRequest {
        table: Some(table.into()),
        ids: ids.iter().map(|id| (*id).into()).collect(),
        ..RefreshRequest::default()
    };
    open.ask(request("part", &["x"])).unwrap();
    open.quiet().await;
    assert_eq!(world.asked()[2..].len(), 2, "ids may be in any region");
    open.ask(RefreshRequest { account_id: Some("a".into()), region: Some("s".into()), ..request("part", &[]) })
        .unwrap();
    open.quiet().await;
    assert_eq!(world.asked()[4..], [(ScopeGroup::new("a", "s", ["thing", "part"]), Extent::Whole)]);
    let error = open.ask(request("thin", &[])).unwrap_err();
    assert_eq!(error.to_string(), "there is no table `thin` (did you mean `thing`?)");
    assert!(open.ask(RefreshRequest { table: None, ..request("x", &["x"]) }).is_err());
    // A target in a scope that nobody collects is counted, and the notice is done.
    let (told, mut done) = notice(vec![target("mars", "x")]);
    world.notify(Notice { whole: vec![ScopeSelector { region: Some("mars".into()), ..Default::default() }], ..told });
    open.quiet().await;
    assert_eq!((open.report().unknown_targets, done.try_recv()), (1, Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_fails_is_started_again() {
    let world = world();
    let mut open = refreshed(&world).await;
    world.fail_notices("the queue is gone");
    let (told, mut done) = notice(vec![target("r", "x")]);
    world.notify(told);
    open.until(true, |open| open.report().notices_error.is_some()).await;
    assert_eq!(open.report().notices_error.as_deref(), Some("the queue is gone"));
    open.quiet().await;
    assert_eq!((done.try_recv(), open.report().notices_error), (Ok(()), None));
}

#[tokio::test(start_paused = true)]
async fn refreshes_are_counted_from_begin_to_begin_and_one_that_takes_longer_is_followed_by_one_at_once() {
    let world = world();
    let mut open = Open::new(&world, Schedule::Every(Duration::from_secs(10))).await;
    open.until(true, |open| open.report().refreshes == 1).await;
    let before = tokio::time::Instant::now();
    open.until(true, |open| open.report().refreshes == 4).await;
    let passed = before.elapsed().as_secs_f64();
    assert!((29.0..31.0).contains(&passed), "{passed}");
    // Two groups, one after the other.
    world.set_pause(Duration::from_secs(13));
    open.until(true, |open| open.report().refreshes == 5).await;
    let before = tokio::time::Instant::now();
    open.until(true, |open| open.report().refreshes == 8).await;
    let passed = before.elapsed().as_secs_f64();
    assert!((77.0..79.0).contains(&passed), "{passed}");
}
