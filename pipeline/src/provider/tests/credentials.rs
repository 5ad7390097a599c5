//! What refreshes show of a provider's credentials.

use tokio::time::Instant;

use super::*;

fn failed() -> Vec<ScriptedScope> {
    vec![ScriptedScope::ending(scope("r"), Vec::new(), ScopeOutcome::Failed("refused".to_owned()))]
}

/// Takes what comes until the credentials are found to be so; what was found, and how long that took.
async fn until(script: ScriptedProvider, status: CredentialStatus) -> (CredentialHistory, Duration) {
    let (mut tables, begun) = (tables(), Instant::now());
    let planned = planned_provider_source(Arc::new(script), Some(Duration::from_secs(3_600)));
    let mut source = planned.open.open(context(&tables)).await.unwrap();
    loop {
        let history = planned.refresh.as_ref().unwrap().status.report().credentials;
        if history.now.as_ref().is_some_and(|now| now.status == status) {
            return (history, begun.elapsed());
        }
        let Ok(arrival) = tokio::time::timeout(Duration::from_secs(1), source.next()).await else { continue };
        if let Ok(Some(arrival)) = arrival {
            tables.apply(&arrival.unit, arrival.rows.iter().map(|(_, batch)| batch)).unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_could_be_read_the_provider_is_asked_why_and_tried_again_long_before_the_next_refresh() {
    let script = provider().refresh(failed()).refresh(failed()).refresh(vec![complete("r", &[(1, 1)])]);
    let (history, took) = until(script.refusing("the key is refused"), CredentialStatus::Valid).await;
    let earlier: Vec<_> = history.earlier.iter().map(|found| (found.status, found.message.as_str())).collect();
    assert_eq!(earlier, [(CredentialStatus::Invalid, "the key is refused")]);
    assert!((90..120).contains(&took.as_secs()), "after 30 s, then after 60 s: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_reads_something_has_good_credentials_whatever_else_fails() {
    let other = Scope { region: "s".into(), ..scope("s") };
    let failing = ScriptedScope::ending(other, Vec::new(), ScopeOutcome::Failed("refused".to_owned()));
    let script = provider().refresh(vec![complete("r", &[(1, 1)]), failing]).refusing("never asked");
    assert!(until(script, CredentialStatus::Valid).await.0.earlier.is_empty());
    let nothing_to_read = provider().refresh(Vec::new()).refusing("never asked");
    assert!(until(nothing_to_read, CredentialStatus::Valid).await.0.earlier.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_cannot_even_list_its_scopes_is_unreachable() {
    let (history, _) = until(provider().failing_refresh("no route"), CredentialStatus::Unreachable).await;
    assert_eq!(history.now.unwrap().message, "no route");
}
