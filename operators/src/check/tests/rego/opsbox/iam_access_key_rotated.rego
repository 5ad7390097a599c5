package opsbox.iam_access_key_rotated

findings contains finding if {
	some u in input.tables.aws_iam_credential_report
	u.user_name != "<root_account>"
	finding := {
		"resource": u.arn,
		"status": status(u),
		"reason": sprintf("%s has %d overdue keys.", [u.user_name, count(overdue(u))]),
		"account_id": u.account_id,
		"region": u.region,
	}
}

oldest := time.now_ns() - ((input.params.days * 86400) * 1000000000)

active(u) := {number |
	some number in ["1", "2"]
	u[sprintf("access_key_%s_active", [number])] == true
}

rotated(u, number) := u[sprintf("access_key_%s_last_rotated", [number])]

overdue(u) := {number |
	some number in active(u)
	time.parse_rfc3339_ns(rotated(u, number)) < oldest
}

undated(u) := {number |
	some number in active(u)
	not rotated(u, number)
}

status(u) := "alarm" if {
	count(overdue(u)) > 0
} else := "skip" if {
	count(active(u)) == 0
} else := "skip" if {
	count(undated(u)) > 0
} else := "ok"
