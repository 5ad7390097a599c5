//! TLS and SASL.

use super::broker::broker;
use super::home::Home;

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
