package opsbox.elb_low_requests

balancers contains b if {
	some kind in ["application", "classic", "network", "gateway"]
	some b in input.tables[sprintf("aws_ec2_%s_load_balancer", [kind])]
}

findings contains finding if {
	some b in balancers
	finding := {
		"resource": b.arn,
		"status": status(b),
		"reason": sprintf("%s has too little to do, or not.", [b.arn]),
		"account_id": b.account_id,
		"region": b.region,
	}
}

status(b) := "ok" if {
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
