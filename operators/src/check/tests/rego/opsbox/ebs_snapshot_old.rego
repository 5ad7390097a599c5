package opsbox.ebs_snapshot_old

findings contains finding if {
	some s in input.tables.aws_ebs_snapshot
	finding := {
		"resource": s.arn,
		"status": status(s),
		"reason": sprintf("%s was made at %s.", [s.snapshot_id, object.get(s, "start_time", "an unknown time")]),
		"account_id": s.account_id,
		"region": s.region,
	}
}

oldest := time.now_ns() - ((input.params.days * 86400) * 1000000000)

status(s) := "alarm" if {
	time.parse_rfc3339_ns(s.start_time) < oldest
} else := "ok" if {
	s.start_time
} else := "skip"
