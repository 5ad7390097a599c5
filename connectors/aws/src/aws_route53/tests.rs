//! What moto cannot show of Route 53: its continuation of records has no identifiers.

use serde_json::json;
use tidegate_pipeline::provider::Extent;

use super::continuation::Continuation;
use super::record::Records;
use super::zone::{VPCS, Zones};
use crate::estate::GLOBAL;
use crate::testing::{Answer, Asked, StandIn};

const ZONES: &str = "<ListHostedZonesResponse><HostedZones><HostedZone><Id>/hostedzone/Z1</Id><Name>example.com.</Name>\
    <CallerReference>c</CallerReference></HostedZone></HostedZones><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems>\
    </ListHostedZonesResponse>";
const DENIED: &str = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code></Error></ErrorResponse>";

/// The records of one name and type, three of them, one in each page.
fn records(asked: &Asked) -> Answer {
    if asked.path == "/2013-04-01/hostedzone" {
        return (200, ZONES.to_owned());
    }
    let (identifier, next) = match (asked.value("name"), asked.value("type"), asked.value("identifier")) {
        ("", "", "") => ("a", Some("b\tb")),
        ("www.example.com.", "A", "b\tb") => ("b\tb", Some("c")),
        ("www.example.com.", "A", "c") => ("c", None),
        other => panic!("nobody asks for {other:?}"),
    };
    let next = next.map(|next| {
        format!(
            "<NextRecordName>www.example.com.</NextRecordName><NextRecordType>A</NextRecordType>\
             <NextRecordIdentifier>{next}</NextRecordIdentifier>"
        )
    });
    let record = format!(
        "<ResourceRecordSet><Name>www.example.com.</Name><Type>A</Type><SetIdentifier>{identifier}</SetIdentifier><Weight>1\
         </Weight><TTL>60</TTL><ResourceRecords><ResourceRecord><Value>192.0.2.2</Value></ResourceRecord><ResourceRecord>\
         <Value>192.0.2.1</Value></ResourceRecord></ResourceRecords></ResourceRecordSet>"
    );
    let truncated = next.is_some();
    (
        200,
        format!(
            "<ListResourceRecordSetsResponse><ResourceRecordSets>{record}</ResourceRecordSets><IsTruncated>{truncated}\
             </IsTruncated>{}<MaxItems>1</MaxItems></ListResourceRecordSetsResponse>",
            next.unwrap_or_default()
        ),
    )
}

#[tokio::test]
async fn records_go_on_at_a_name_a_type_and_an_identifier() {
    let server = StandIn::new(records).await;
    let (rows, outcome) = server.collect(&Records::new(), GLOBAL, Extent::Whole).await;
    outcome.unwrap();
    let rows = &rows["aws_route53_record"];
    let identifiers: Vec<_> = rows.iter().map(|row| &row["set_identifier"]).collect();
    assert_eq!(identifiers, ["a", "b\tb", "c"]);
    assert_eq!(rows[0]["arn"], "arn:aws:route53:::hostedzone/Z1/recordset/www.example.com./A/a");
    assert_eq!((&rows[0]["zone_id"], &rows[0]["records"]), (&json!("Z1"), &json!(["192.0.2.1", "192.0.2.2"])));
}

#[test]
fn a_token_is_read_as_it_was_written_and_none_is_the_beginning() {
    assert_eq!(Continuation::of(None), Continuation::default());
    let read = Continuation::of(Some("a.\tTXT\t"));
    assert_eq!((read.name.as_deref(), read.identifier), (Some("a."), None));
    assert_eq!(read.of_type.map(|of_type| of_type.as_str().to_owned()).as_deref(), Some("TXT"));
}

#[tokio::test]
async fn what_may_not_be_known_of_zones_is_null_and_asked_for_once() {
    let server = StandIn::new(|asked| match asked.path.as_str() {
        "/2013-04-01/hostedzone" => (200, ZONES.to_owned()),
        _ => (403, DENIED.to_owned()),
    })
    .await;
    let (rows, outcome) = server.collect_with(&Zones::new(), GLOBAL, Extent::Whole, &[VPCS]).await;
    outcome.unwrap();
    let [zone] = &rows["aws_route53_zone"][..] else { panic!("one: {rows:?}") };
    assert_eq!((&zone["id"], &zone["arn"]), (&json!("Z1"), &json!("arn:aws:route53:::hostedzone/Z1")));
    for column in ["tags", "query_logging_enabled", "vpcs", "name_servers"] {
        assert_eq!(zone.get(column), None, "{column}");
    }
    assert_eq!(server.asked().len(), 4);
}
