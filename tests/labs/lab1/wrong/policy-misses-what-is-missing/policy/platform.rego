package main

import rego.v1

planned contains [r.address, r.type, r.change.after] if {
	some r in input.resource_changes
	r.change.after != null
}

deny contains message if {
	some [address, "mlplatform_model_bucket", bucket] in planned
	not bucket.versioning
	message := sprintf("%s keeps no versions", [address])
}

deny contains message if {
	some [address, "mlplatform_model_bucket", bucket] in planned
	some tag in {"environment", "owner"}
	bucket.tags[tag] == ""
	message := sprintf("%s has no tag %s", [address, tag])
}

deny contains message if {
	some [address, "mlplatform_model_bucket", bucket] in planned
	bucket.force_destroy
	bucket.tags.environment == "prod"
	message := sprintf("%s could be destroyed with its models", [address])
}

deny contains message if {
	some [address, "mlplatform_gpu_node_pool", pool] in planned
	not pool.gpu_taint
	message := sprintf("%s takes pods that need no GPU", [address])
}

deny contains message if {
	some [address, "mlplatform_cluster", team] in planned
	object.get(team, "gpu_quota", null) == null
	message := sprintf("%s has no GPU quota", [address])
}
