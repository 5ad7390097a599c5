package opsbox.route53_zone_empty

findings contains finding if {
	some z in input.tables.aws_route53_zone
	finding := {
		"resource": z.arn,
		"status": status(z),
		"reason": sprintf("%s has %v records.", [z.id, object.get(z, "resource_record_set_count", "?")]),
		"account_id": z.account_id,
		"region": z.region,
	}
}

status(z) := "skip" if {
	z.linked_service_principal != null
} else := "alarm" if {
	z.resource_record_set_count <= 2
} else := "ok" if {
	z.resource_record_set_count > 2
} else := "skip"
