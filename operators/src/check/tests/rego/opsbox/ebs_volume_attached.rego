package opsbox.ebs_volume_attached

findings contains finding if {
	some v in input.tables.aws_ebs_volume
	finding := {
		"resource": v.arn,
		"status": status(v),
		"reason": sprintf("%s is %s.", [v.volume_id, object.get(v, "state", "in no state")]),
		"account_id": v.account_id,
		"region": v.region,
	}
}

status(v) := "ok" if {
	v.state == "in-use"
} else := "alarm" if {
	v.state in {"available", "error"}
} else := "skip"
