package opsbox.iam_user_mfa_enabled

findings contains finding if {
	some u in input.tables.aws_iam_user
	finding := {
		"resource": u.arn,
		"status": status(u),
		"reason": sprintf("%s has MFA, or not.", [u.name]),
		"account_id": u.account_id,
		"region": u.region,
	}
}

status(u) := "ok" if {
	u.console_access == true
	u.mfa_enabled == true
} else := "alarm" if {
	u.console_access == true
	u.mfa_enabled == false
} else := "skip"
