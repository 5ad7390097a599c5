package opsbox.iam_policy_unused

findings contains finding if {
	some p in input.tables.aws_iam_policy
	p.is_aws_managed == false
	finding := {
		"resource": p.arn,
		"status": status(p),
		"reason": sprintf("%s is attached to %v.", [p.arn, object.get(p, "attachment_count", "?")]),
		"account_id": p.account_id,
		"region": p.region,
	}
}

status(p) := "skip" if {
	not p.attachment_count >= 0
} else := "ok" if {
	p.permissions_boundary_usage_count > 0
} else := "alarm" if {
	p.attachment_count <= input.params.attachments
} else := "ok"
