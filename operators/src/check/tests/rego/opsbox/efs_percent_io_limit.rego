package opsbox.efs_percent_io_limit

findings contains finding if {
	some f in input.tables.aws_efs_file_system
	not f.life_cycle_state in {"deleting", "deleted"}
	finding := {
		"resource": f.arn,
		"status": status(f),
		"reason": sprintf("%s reached %v %% of its limit.", [f.file_system_id, object.get(f, "percent_io_limit", "?")]),
		"account_id": f.account_id,
		"region": f.region,
	}
}

status(f) := "skip" if {
	f.performance_mode == "maxIO"
} else := "alarm" if {
	f.percent_io_limit >= input.params.percent
} else := "ok" if {
	f.percent_io_limit < input.params.percent
} else := "skip"
