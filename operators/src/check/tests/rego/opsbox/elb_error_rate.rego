package opsbox.elb_error_rate

balancers contains b if {
	some table in ["aws_ec2_application_load_balancer", "aws_ec2_classic_load_balancer"]
	some b in input.tables[table]
}

findings contains finding if {
	some b in balancers
	finding := {
		"resource": b.arn,
		"status": status(b),
		"reason": sprintf("%s gave %v answers with 5XX.", [b.arn, object.get(b, "error_rate", "?")]),
		"account_id": b.account_id,
		"region": b.region,
	}
}

status(b) := "alarm" if {
	b.error_rate > input.params.errors
} else := "ok" if {
	b.error_rate <= input.params.errors
} else := "skip"
