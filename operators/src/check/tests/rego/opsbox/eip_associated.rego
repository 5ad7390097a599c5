package opsbox.eip_associated

findings contains finding if {
	some a in input.tables.aws_vpc_eip
	finding := {
		"resource": a.arn,
		"status": status(a),
		"reason": sprintf("%s leads somewhere: %v.", [a.allocation_id, leads_somewhere(a)]),
		"account_id": a.account_id,
		"region": a.region,
	}
}

status(a) := "ok" if {
	leads_somewhere(a)
} else := "skip" if {
	object.get(a, "service_managed", "") != ""
} else := "alarm"

leads_somewhere(a) if {
	some name in ["network_interface_id", "instance_id", "association_id"]
	object.get(a, name, "") != ""
} else := false
