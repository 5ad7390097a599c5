//! Groups: several tables from the same calls, several groups at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::provider::{Collected, Extent, Pages, Provider, Schedule, ScopeGroup, Unverified};

/// `region/table` of a scope, and how it ended.
fn ends(arrivals: &[Arrival]) -> Vec<String> {
    let end = |arrival: &Arrival| match &arrival.unit {
        Unit::End(scope, ScopeOutcome::Complete) => Some(format!("{}/{} complete", scope.region, scope.table)),
        Unit::End(scope, ScopeOutcome::Failed(reason)) => Some(format!("{}/{} {reason}", scope.region, scope.table)),
        _ => None,
    };
    arrivals.iter().filter_map(end).collect()
}

fn of_table(table: &str, scripted: ScriptedScope) -> ScriptedScope {
    ScriptedScope { scope: Scope { table: table.into(), ..scripted.scope.clone() }, ..scripted }
}

#[tokio::test]
async fn tables_of_a_group_are_collected_together_and_end_each_by_itself() {
    let things = of_table("thing", complete("r", &[(1, 1), (2, 2)]));
    let others = of_table("other", complete("r", &[(7, 7)]));
    let denied =
        ScriptedScope { outcome: Some(ScopeOutcome::Failed("denied".into())), pages: vec![], ..others.clone() };
    let fewer = of_table("thing", complete("r", &[(2, 2)]));
    let script = provider().grouped().refresh(vec![things, others]).refresh(vec![fewer, denied]);
    let mut run = Run::open(script, tables(), None).await;
    let arrivals = run.refreshes(2).await.unwrap();
    assert_eq!(ends(&arrivals), ["r/thing complete", "r/other complete", "r/thing complete", "r/other denied"]);
    assert_eq!(run.contents("r"), BTreeMap::from([(2, 2)]));
    let others = run.tables.current().get("other").unwrap().row_count();
    assert_eq!(others, 1, "what could not be read has lost nothing");
}

#[tokio::test]
async fn a_page_that_does_not_fit_fails_its_table_and_not_the_others_of_the_group() {
    let wrong = page("r", &[(1, 1)]).project(&[0, 1, 2, 3]).unwrap();
    let broken = of_table("thing", ScriptedScope::complete(scope("r"), vec![wrong]));
    let others = of_table("other", complete("r", &[(7, 7)]));
    let mut run = Run::open(provider().grouped().refresh(vec![broken, others]), tables(), None).await;
    let ends = ends(&run.refreshes(1).await.unwrap());
    assert!(ends[0].starts_with("r/thing a page has the columns"), "{ends:?}");
    assert_eq!(ends[1], "r/other complete");
}

#[tokio::test]
async fn so_many_groups_are_collected_at_a_time_as_the_provider_says_and_one_that_hangs_stops_no_other() {
    let regions: Vec<String> = (0..9).map(|index| format!("r{index}")).collect();
    let mut scopes: Vec<_> = regions.iter().map(|region| complete(region, &[(1, 1)])).collect();
    for hanging in [0, 2] {
        scopes[hanging] = ScriptedScope { hangs: true, ..scopes[hanging].clone() };
    }
    scopes[1] = ScriptedScope::panicking(scope("r1"), vec![page("r1", &[(1, 1)])]);
    let mut run = Run::open(provider().at_once(3).refresh(scopes), tables(), None).await;
    let mut completed = 0;
    while completed < 6 {
        let arrival = run.source.next().await.unwrap().unwrap();
        completed += usize::from(matches!(&arrival.unit, Unit::End(_, ScopeOutcome::Complete)));
        run.tables.apply(&arrival.unit, arrival.rows.iter().map(|(_, batch)| batch)).unwrap();
    }
    assert_eq!(run.provider.most_at_once(), 3);
    assert_eq!(run.contents("r8"), BTreeMap::from([(1, 1)]));
}

/// Gives pages without end to each of many groups, and counts those that were taken from it.
#[derive(Default)]
struct Endless(AtomicUsize);

#[async_trait]
impl Provider for Endless {
    fn tables(&self) -> Vec<TableDefinition> {
        vec![definition("thing")]
    }

    async fn verify(&self) -> Result<(), Unverified> {
        Ok(())
    }

    async fn groups(&self) -> Result<Vec<ScopeGroup>> {
        Ok((0..50).map(|index| ScopeGroup::new("a", format!("r{index}"), ["thing"])).collect())
    }

    fn concurrency(&self) -> usize {
        50
    }

    async fn collect(&self, group: &ScopeGroup, _extent: &Extent, pages: Pages) -> Collected {
        for id in 0.. {
            if pages.send("thing", page(&group.region, &[(id, id)])).await.is_err() {
                break;
            }
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        Collected::complete()
    }
}

#[tokio::test(start_paused = true)]
async fn pages_in_flight_are_few_however_many_groups_there_are() {
    let endless = Arc::new(Endless::default());
    let planned = planned_provider_source(Arc::clone(&endless), Schedule::Once);
    let tables = Tables::new(endless.tables()).unwrap();
    let source = planned.open.open(context(&tables)).await.unwrap();
    // Nobody takes arrivals. The clock stands still until nothing else can happen.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let sent = endless.0.load(Ordering::SeqCst);
    assert!((1..=12).contains(&sent), "{sent}");
    drop(source);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(Arc::strong_count(&endless), 2, "no group is being collected any more");
}
