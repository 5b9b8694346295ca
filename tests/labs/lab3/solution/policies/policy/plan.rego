package main

approved := {"t4", "l4", "a10g", "a100-80gb"}

ceiling := 100 # US dollars an hour, all pools together

# What will be there after the change: created, updated, replaced, or left as it is.
kept contains change if {
	some change in input.resource_changes
	change.mode == "managed"
	change.change.after != null
}

pools contains change if {
	some change in kept
	change.type == "mlplatform_gpu_node_pool"
}

deny contains sprintf("%s: a bucket keeps versions", [change.address]) if {
	some change in kept
	change.type == "mlplatform_model_bucket"
	not change.change.after.versioning == true
}

deny contains sprintf("%s: a pool has the GPU taint", [change.address]) if {
	some change in pools
	not change.change.after.gpu_taint == true
}

deny contains sprintf("%s: %s is not approved", [change.address, change.change.after.accelerator]) if {
	some change in pools
	not change.change.after.accelerator in approved
}

deny contains sprintf("all pools cost %v dollars an hour, more than %v", [total, ceiling]) if {
	total := sum([change.change.after.hourly_cost | some change in pools])
	total > ceiling
}
