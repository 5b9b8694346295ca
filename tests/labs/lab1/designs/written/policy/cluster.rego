package cluster

import rego.v1

deny contains "GPU nodes without a taint" if {
	some change in input.resource_changes
	change.type == "mlplatform_gpu_node_pool"
	not change.change.after.gpu_taint
}

deny contains "a team without a quota" if {
	some change in input.resource_changes
	change.type == "mlplatform_cluster"
	change.change.after.gpu_quota == null
}
