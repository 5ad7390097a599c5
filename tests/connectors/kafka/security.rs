//! TLS and SASL.

use super::broker::broker;
use super::home::Home;
use crate::diagnosis::{diagnosed, diagnosed_in};
use crate::service::free_ports;

#[test]
fn messages_come_through_tls_and_through_scram() {
    let Some(broker) = broker() else { return };
    broker.create("guarded", 1);
    broker.produce("guarded", &[], b"{\"n\":0}\n");
    let tls = format!("topic: guarded, port: {}, cafile: {}", broker.tls_port(), broker.certificate());
    let scram = format!(
        "topic: guarded, port: {}, security_protocol: SASL_PLAINTEXT, sasl_mechanism: SCRAM-SHA-256, \
         sasl_plain_username: alice, sasl_plain_password: wonder",
        broker.sasl_port()
    );
    for options in [tls, scram] {
        let home = Home::reads(&options);
        home.run().until(&options, || home.numbers() == [0]);
    }
}

#[test]
fn a_wrong_password_and_a_certificate_that_nobody_knows_are_said_and_tried_again() {
    let Some(broker) = broker() else { return };
    let scram = format!(
        "topic: any, port: {}, security_protocol: SASL_PLAINTEXT, sasl_mechanism: SCRAM-SHA-256, \
         sasl_plain_username: alice, sasl_plain_password: looking-glass",
        broker.sasl_port()
    );
    let tls = format!("topic: any, port: {}, security_protocol: SSL", broker.tls_port());
    for (options, reason) in [(scram, "uthentication"), (tls, "certificate")] {
        let home = Home::reads(&options);
        let mut program = home.run();
        program.until_said(reason);
        assert!(program.is_running());
        program.kill().never_said(&["looking-glass"]);
    }
}

#[test]
fn a_cluster_is_diagnosed_step_by_step_and_no_group_is_joined() {
    let Some(broker) = broker() else { return };
    broker.create("diagnosed", 2);
    broker.produce("diagnosed", &["-p", "1"], b"{\"n\":0}\n{\"n\":1}\n");
    let (host, port) = ("host=127.0.0.1", format!("port={}", broker.port()));
    let told = diagnosed("kafka", &[host, &port, "topic=diagnosed", "group_id=watchers"]).all_well();
    assert_eq!(told.detail("topic diagnosed: topic there"), "2 partitions");
    assert_eq!(told.detail("topic diagnosed: offsets known"), "2 offsets (0: 0 to 0, 1: 0 to 2)");
    assert!(told.detail("topic diagnosed: group asked").contains("has committed 0 of 2 partitions"));
    assert_eq!(broker.members("watchers"), 0);
    diagnosed("kafka", &[host, &port, "topic_pattern=diagn"]).all_well();
    let told = diagnosed("kafka", &[host, &port, "topics=[diagnosed, none]"]);
    let told = told.fails_at("topic none: topic there", &["there is no topic `none`", "create it"]);
    assert_eq!(told.detail("topic diagnosed: topic there"), "2 partitions");
    let scram = |password: &str| {
        let port = format!("port={}", broker.sasl_port());
        let user = ["security_protocol=SASL_PLAINTEXT", "sasl_mechanism=SCRAM-SHA-256", "sasl_plain_username=alice"];
        let reach = [host, &port, "topic=diagnosed", "sasl_plain_password={env: PASSWORD}"];
        let given = [reach.as_slice(), user.as_slice()].concat();
        diagnosed_in("kafka", &given, &[("PASSWORD", password)]).hides(password)
    };
    assert!(scram("wonder").all_well().detail("cluster answers").starts_with("as `alice` by SCRAM-SHA-256"));
    scram("looking-glass").fails_at("cluster answers", &["uthentication"]);
    let (tls, cafile) = (format!("port={}", broker.tls_port()), format!("cafile={}", broker.certificate()));
    let told = diagnosed("kafka", &[host, &tls, "topic=diagnosed", &cafile]).all_well();
    assert!(told.detail("TLS handshake").contains("valid until"));
    let stranger = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), stranger.cert.pem()).unwrap();
    let cafile = format!("cafile={}", folder.path().join("ca.pem").display());
    let told = diagnosed("kafka", &[host, &tls, "topic=diagnosed", &cafile]);
    told.fails_at("TLS handshake", &["certificate", "CA that is trusted here"]);
}

#[test]
fn brokers_that_are_not_there_and_a_registry_that_is_not_are_told_apart() {
    let Some(broker) = broker() else { return };
    broker.create("half", 1);
    let nobody = free_ports(1)[0];
    let told = diagnosed("kafka", &["host=127.0.0.1", &format!("port={nobody}"), "topic=half"]);
    told.fails_at("TCP connected", &["refused"]);
    let hosts = format!("host='127.0.0.1:{nobody},127.0.0.1:{}'", broker.port());
    let told = diagnosed("kafka", &[&hosts, "port=9092", "topic=half"]);
    let told = told.fails_at(&format!("127.0.0.1:{nobody}: TCP connected"), &["refused"]);
    assert_eq!(told.detail("topic half: topic there"), "1 partition");
    let (port, registry) =
        (format!("port={}", broker.port()), format!("schema_registry_url=http://127.0.0.1:{nobody}"));
    let told = diagnosed("kafka", &["host=127.0.0.1", &port, "topic=half", "message_format=avro", &registry]);
    told.fails_at("schema registry: TCP connected", &["refused"]);
}
