# GPU nodes are dear: nothing runs on them by accident, and nothing on them can take the node's identity.
package main

import rego.v1

deny contains message if {
	some name, blocks in input.resource.aws_eks_node_group
	some group in blocks
	not tainted(group)
	message := sprintf("aws_eks_node_group.%s has no taint nvidia.com/gpu with NO_SCHEDULE: pods without a GPU would fill it", [name])
}

deny contains message if {
	some name, blocks in input.resource.google_container_node_pool
	some pool in blocks
	some config in pool.node_config
	config.guest_accelerator
	not tainted(config)
	message := sprintf("google_container_node_pool.%s has no taint nvidia.com/gpu with NO_SCHEDULE: pods without a GPU would fill it", [name])
}

deny contains message if {
	some name, blocks in input.resource.aws_eks_node_group
	some group in blocks
	not group.scaling_config[0].max_size
	message := sprintf("aws_eks_node_group.%s has no max_size: nothing bounds its cost", [name])
}

deny contains message if {
	some name, blocks in input.resource.google_container_node_pool
	some pool in blocks
	not bounded_pool(pool)
	message := sprintf("google_container_node_pool.%s has no bound for its size: nothing bounds its cost", [name])
}

deny contains message if {
	some name, blocks in input.resource.aws_launch_template
	some template in blocks
	not template.metadata_options[0].http_tokens == "required"
	message := sprintf("aws_launch_template.%s does not require IMDSv2: a pod could take the node's credentials", [name])
}

deny contains message if {
	some name, blocks in input.resource.aws_launch_template
	some template in blocks
	some mapping in template.block_device_mappings
	some disk in mapping.ebs
	not disk.encrypted == true
	message := sprintf("aws_launch_template.%s has a volume that is not encrypted", [name])
}

deny contains message if {
	some name, blocks in input.resource.google_container_node_pool
	some pool in blocks
	not pool.node_config[0].workload_metadata_config[0].mode == "GKE_METADATA"
	message := sprintf("google_container_node_pool.%s does not hide the node's metadata: a pod could take the node's credentials", [name])
}

tainted(block) if {
	some taint in block.taint
	taint.key == "nvidia.com/gpu"
	taint.effect == "NO_SCHEDULE"
}

bounded_pool(pool) if pool.autoscaling[0].total_max_node_count

bounded_pool(pool) if pool.autoscaling[0].max_node_count

bounded_pool(pool) if pool.node_count
