package opsbox.elb_no_healthy_targets

current contains b if {
	some kind in ["application", "network", "gateway"]
	some b in input.tables[sprintf("aws_ec2_%s_load_balancer", [kind])]
}

findings contains finding if {
	some b in current
	finding := object.union(about(b), {"status": status_of_current(b)})
}

findings contains finding if {
	some b in input.tables.aws_ec2_classic_load_balancer
	finding := object.union(about(b), {"status": judged(states_behind(b, "Unknown"), {"InService"}, {"Unknown"})})
}

about(b) := {
	"resource": b.arn,
	"reason": sprintf("%s has healthy targets, or not.", [b.arn]),
	"account_id": b.account_id,
	"region": b.region,
}

status_of_current(b) := "skip" if {
	count(groups(b)) == 0
} else := "skip" if {
	not b.account_id in accounts
} else := judged(states_in(b), {"healthy"}, {"initial", "unavailable"})

judged(states, good, unsure) := "ok" if {
	some state in states
	state in good
} else := "skip" if {
	some state in states
	state in unsure
} else := "alarm"

groups(b) := {group.target_group_arn |
	some group in input.tables.aws_ec2_target_group
	group.account_id == b.account_id
	group.region == b.region
	b.arn in group.load_balancer_arns
}

states_in(b) := {object.get(target, "state", "unavailable") |
	some target in input.tables.aws_ec2_target_group_target
	target.account_id == b.account_id
	target.region == b.region
	target.target_group_arn in groups(b)
}

states_behind(b, unknown) := {object.get(instance, "state", unknown) |
	some instance in input.tables.aws_ec2_classic_load_balancer_instance
	instance.account_id == b.account_id
	instance.region == b.region
	instance.load_balancer_name == b.name
}

accounts contains target.account_id if some target in input.tables.aws_ec2_target_group_target
