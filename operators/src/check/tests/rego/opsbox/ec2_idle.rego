package opsbox.ec2_idle

findings contains finding if {
	some i in input.tables.aws_ec2_instance
	not i.instance_state in {"terminated", "shutting-down"}
	finding := {
		"resource": i.arn,
		"status": status(i),
		"reason": sprintf("%s used %v %% of its CPU.", [i.instance_id, object.get(i, "avg_cpu_utilization", "?")]),
		"account_id": i.account_id,
		"region": i.region,
	}
}

status(i) := "alarm" if {
	measured(i)
	i.avg_cpu_utilization < input.params.cpu
} else := "ok" if {
	measured(i)
	i.avg_cpu_utilization >= input.params.cpu
} else := "skip"

measured(i) if {
	i.instance_state == "running"
	object.get(i, "cpu_datapoints", 0) >= input.params.min_datapoints
}
