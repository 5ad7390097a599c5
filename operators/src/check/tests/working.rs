use super::super::evaluate::{Evaluator, Interest, WorkLimit};
use super::{TIME, Volume, complete, line, pack_of, plan};

/// What a query says that may go through so many rows, over twenty volumes.
async fn said(sql: &str, limit: u64) -> Vec<String> {
    let (mut planned, problems) = plan(&pack_of(&[("a", sql)]));
    assert_eq!(problems.queries, []);
    planned.work_limit = WorkLimit(limit);
    let ids: Vec<String> = (0..20).map(|number| format!("v{number}")).collect();
    let rows: Vec<Volume<'_>> = ids.iter().map(|id| ("r", id.as_str(), "in-use", true)).collect();
    let evaluated = Evaluator::new(planned).evaluate(&complete(&rows), &[0], |_| Interest::All, TIME).await.unwrap();
    evaluated[0].findings.iter().map(line).collect()
}

fn stopped(said: &[String]) -> bool {
    said.len() == 1 && said[0].starts_with("control:a error ") && said[0].contains("was stopped after going through")
}

#[tokio::test]
async fn a_query_that_would_run_for_ever_answers_one_error() {
    let sql = "with recursive n as (select 1 as i union all select i + 1 from n)
               select cast(i as text) as resource, 'ok' as status, 'r.' as reason from n";
    let said = said(sql, 1_000_000).await;
    assert!(stopped(&said), "{said:?}");
}

#[tokio::test]
async fn a_join_that_compares_each_with_each_counts_the_pairs() {
    // Nothing comes out of it: the work is inside. `repeated` has 800 rows, so there are 640,000 pairs.
    let repeated = "select arn, size from volume cross join unnest(generate_series(1, 40))";
    let sql = format!(
        "with repeated as ({repeated})
         select a.arn as resource, 'ok' as status, 'r.' as reason from repeated a join repeated b
         on a.size + b.size > 1000 group by a.arn"
    );
    assert!(stopped(&said(&sql, 200_000).await));
    assert_eq!(said(&sql, 2_000_000).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_query_within_its_limit_says_what_it_says_without_one() {
    let sql = "select arn as resource, 'ok' as status, 'r.' as reason from volume";
    assert_eq!(said(sql, 1_000_000).await, said(sql, u64::MAX).await);
}
