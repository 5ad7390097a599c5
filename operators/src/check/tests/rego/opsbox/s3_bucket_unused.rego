package opsbox.s3_bucket_unused

findings contains finding if {
	some b in input.tables.aws_s3_bucket_content
	finding := {
		"resource": b.arn,
		"status": status(b),
		"reason": sprintf("%s was last written to at %s.", [b.bucket_name, object.get(b, "last_modified", "an unknown time")]),
		"account_id": b.account_id,
		"region": b.region,
	}
}

oldest := time.now_ns() - ((input.params.days * 86400) * 1000000000)

is_old(b) if time.parse_rfc3339_ns(b.last_modified) <= oldest

status(b) := "skip" if {
	not b.objects_listed >= 0
} else := "skip" if {
	not b.last_modified
} else := "ok" if {
	not is_old(b)
} else := "skip" if {
	b.is_truncated == true
} else := "alarm"
