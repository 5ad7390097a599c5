package opsbox.s3_objects_old_standard

findings contains finding if {
	some b in input.tables.aws_s3_bucket_content
	finding := {
		"resource": b.arn,
		"status": status(b),
		"reason": sprintf("%d of %d objects of %s are old.", [count(old_objects(b)), count(objects(b)), b.bucket_name]),
		"account_id": b.account_id,
		"region": b.region,
	}
}

oldest := time.now_ns() - ((input.params.days * 86400) * 1000000000)

objects(b) := [o |
	some o in input.tables.aws_s3_object
	o.account_id == b.account_id
	o.region == b.region
	o.bucket_name == b.bucket_name
]

old_objects(b) := [o |
	some o in objects(b)
	o.storage_class == "STANDARD"
	time.parse_rfc3339_ns(o.last_modified) < oldest
]

status(b) := "skip" if {
	not b.objects_listed >= 0
} else := "skip" if {
	count(objects(b)) == 0
} else := "alarm" if {
	(100 * count(old_objects(b))) / count(objects(b)) > input.params.percent
} else := "ok"
