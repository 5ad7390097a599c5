package opsbox.s3_storage_class_usage

oldest := time.now_ns() - ((input.params.days * 86400) * 1000000000)

listed(account) := [b |
	some b in input.tables.aws_s3_bucket_content
	b.account_id == account
	b.objects_listed > 0
]

accounts contains b.account_id if {
	some b in input.tables.aws_s3_bucket_content
	b.objects_listed > 0
}

percentage(some_of, all) := round((100 * count(some_of)) / count(all))

findings contains finding if {
	some account in accounts
	buckets := listed(account)
	partition := min({object.get(b, "partition", "aws") | some b in buckets})
	cold := [b | some b in buckets; b.storage_class in {"GLACIER", "STANDARD_IA"}]
	mixed := [b | some b in buckets; b.storage_class == "MIXED"]
	stale := [b | some b in buckets; time.parse_rfc3339_ns(b.last_modified) < oldest]
	finding := {
		"resource": sprintf("arn:%s:s3::%s:account-settings", [partition, account]),
		"status": "info",
		"reason": sprintf("%d %% cold, %d %% mixed, %d %% stale.", [
			percentage(cold, buckets),
			percentage(mixed, buckets),
			percentage(stale, buckets),
		]),
		"account_id": account,
		"region": "global",
	}
}
