package opsbox.rds_cpu

# For rds_idle and rds_oversized, which differ by the threshold.
findings contains finding if {
	some d in input.tables.aws_rds_db_instance
	not d.status == "deleting"
	finding := {
		"resource": d.arn,
		"status": status(d),
		"reason": sprintf("%s used %v %% of its CPU.", [d.db_instance_identifier, object.get(d, "avg_cpu_utilization", "?")]),
		"account_id": d.account_id,
		"region": d.region,
	}
}

status(d) := "alarm" if {
	measured(d)
	d.avg_cpu_utilization < input.params.cpu
} else := "ok" if {
	measured(d)
	d.avg_cpu_utilization >= input.params.cpu
} else := "skip"

measured(d) if {
	d.status == "available"
	object.get(d, "cpu_datapoints", 0) >= input.params.min_datapoints
}
