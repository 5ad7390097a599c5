//! What is wrong with the connection to a broker, step by step. Under a client id of its own: the broker throws out whoever
//! is there under the same.

use rumqttc::v5::mqttbytes::QoS;
use tidegate_pipeline::diagnosis::Diagnosis;
use uuid::Uuid;

use super::PlannedMqtt;
use super::connection::Visit;
use crate::diagnosis::reach;

/// How topics begin whose messages are shared among their subscribers: each that came here would be lost to them.
const SHARED: [&str; 2] = ["$share/", "$queue/"];

/// Looks at everything up to the subscriptions; no message is acknowledged.
pub(super) async fn diagnose(planned: &PlannedMqtt, found: &mut Diagnosis) {
    let options = &planned.options;
    reach(found, &options.host, planned.port(), planned.tls.as_ref().map(|tls| tls.client())).await;
    let client_id = format!("tidegate-test-{}", Uuid::new_v4().simple());
    let visited = async {
        let visit = Visit::pay(planned, &client_id).await?;
        let who = options.username.as_ref().map_or_else(|| "without a user".to_owned(), |user| format!("as `{user}`"));
        Ok((visit, format!("reason code 0 (Success), {who}, client id `{client_id}`")))
    };
    let mut visit = found.check("CONNECT accepted", visited).await;
    for wanted in &planned.filters {
        found.about(format!("topic {}", wanted.0));
        subscription(planned, wanted, visit.as_mut(), found).await;
    }
    found.about_all(true);
    if let Some(visit) = visit {
        visit.end().await;
    }
}

async fn subscription(planned: &PlannedMqtt, wanted: &(String, QoS), visit: Option<&mut Visit>, found: &mut Diagnosis) {
    const STEP: &str = "subscription granted";
    if SHARED.iter().any(|shared| wanted.0.starts_with(shared)) {
        return found.skip(STEP, "not tried: its messages are shared, and one that came here would be lost to others");
    }
    let granted = async {
        let Some(visit) = visit else { return Ok(((), String::new())) };
        let granted = visit.subscribe(planned, wanted).await?;
        let told = match granted == wanted.1 {
            true => format!("QoS {}", granted as u8),
            false => format!("QoS {} where {} is wanted: the broker grants no more", granted as u8, wanted.1 as u8),
        };
        Ok(((), told))
    };
    found.check(STEP, granted).await;
}
