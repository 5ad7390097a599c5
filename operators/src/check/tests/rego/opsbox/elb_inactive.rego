package opsbox.elb_inactive

balancers contains b if {
	some kind in ["application", "network", "gateway"]
	some b in input.tables[sprintf("aws_ec2_%s_load_balancer", [kind])]
}

findings contains finding if {
	some b in balancers
	finding := {
		"resource": b.arn,
		"status": status(b),
		"reason": sprintf("%s is %s.", [b.arn, object.get(b, "state_code", "in no state")]),
		"account_id": b.account_id,
		"region": b.region,
	}
}

status(b) := "alarm" if {
	b.state_code == "failed"
} else := "skip" if {
	not b.state_code in {"active", "active_impaired"}
} else := "ok" if {
	uses(b) > input.params.requests
} else := "skip" if {
	is_young(b)
} else := "alarm" if {
	uses(b) <= input.params.requests
} else := "skip"

uses(b) := b.request_count

uses(b) := b.new_flow_count

is_young(b) if {
	newest := time.now_ns() - ((input.params.min_days * 86400) * 1000000000)
	time.parse_rfc3339_ns(b.created_time) > newest
}
