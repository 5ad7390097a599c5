package opsbox.iam_user_console_access

findings contains finding if {
	some u in input.tables.aws_iam_user
	finding := {
		"resource": u.arn,
		"status": status(u),
		"reason": sprintf("%s has a console password, or not.", [u.name]),
		"account_id": u.account_id,
		"region": u.region,
	}
}

status(u) := "alarm" if {
	u.console_access == true
} else := "ok" if {
	u.console_access == false
} else := "skip"
