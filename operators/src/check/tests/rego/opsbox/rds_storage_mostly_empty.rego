package opsbox.rds_storage_mostly_empty

findings contains finding if {
	some d in input.tables.aws_rds_db_instance
	not d.status == "deleting"
	finding := {
		"resource": d.arn,
		"status": status(d),
		"reason": sprintf("%s uses %v %% of its storage.", [d.db_instance_identifier, object.get(d, "storage_utilization", "?")]),
		"account_id": d.account_id,
		"region": d.region,
	}
}

status(d) := "skip" if {
	d.db_cluster_identifier != null
} else := "alarm" if {
	d.storage_utilization < input.params.percent
} else := "ok" if {
	d.storage_utilization >= input.params.percent
} else := "skip"
