package opsbox.rds_snapshot_old

snapshots contains s if {
	some table in ["aws_rds_db_snapshot", "aws_rds_db_cluster_snapshot"]
	some s in input.tables[table]
}

findings contains finding if {
	some s in snapshots
	finding := {
		"resource": s.arn,
		"status": status(s),
		"reason": sprintf("%s was made at %s.", [s.arn, object.get(s, "create_time", "an unknown time")]),
		"account_id": s.account_id,
		"region": s.region,
	}
}

oldest := time.now_ns() - ((input.params.days * 86400) * 1000000000)

status(s) := "skip" if {
	s.type == "automated"
} else := "alarm" if {
	time.parse_rfc3339_ns(s.create_time) < oldest
} else := "ok" if {
	s.create_time
} else := "skip"
