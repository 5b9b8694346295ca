# Control planes are closed, and their Secrets are encrypted with a key of ours.
package main

import rego.v1

deny contains message if {
	some name, blocks in input.resource.aws_eks_cluster
	some cluster in blocks
	some wrong in eks_faults(cluster)
	message := sprintf("aws_eks_cluster.%s %s", [name, wrong])
}

eks_faults(cluster) := faults if {
	checks := {
		"does not encrypt Secrets with a key of ours": encrypts_secrets(cluster),
		"has no private endpoint: nodes would go over the internet": private_endpoint(cluster),
		"makes whoever creates it administrator for good": no_creator(cluster),
		"keeps no audit log": audited(cluster),
	}
	faults := {fault | some fault, fine in checks; not fine}
}

default encrypts_secrets(_) := false

encrypts_secrets(cluster) if {
	some config in cluster.encryption_config
	"secrets" in config.resources
	config.provider[0].key_arn
}

default private_endpoint(_) := false

private_endpoint(cluster) if cluster.vpc_config[0].endpoint_private_access == true

default no_creator(_) := false

no_creator(cluster) if cluster.access_config[0].bootstrap_cluster_creator_admin_permissions == false

default audited(_) := false

audited(cluster) if "audit" in cluster.enabled_cluster_log_types

deny contains message if {
	some name, blocks in input.resource.google_container_cluster
	some cluster in blocks
	some wrong in gke_faults(cluster)
	message := sprintf("google_container_cluster.%s %s", [name, wrong])
}

gke_faults(cluster) := faults if {
	checks := {
		"does not encrypt Secrets with a key of ours": gke_encrypts(cluster),
		"has nodes with public addresses": gke_private(cluster),
		"has no workload identity: pods would share the node's": gke_identity(cluster),
		"keeps its default node pool": object.get(cluster, "remove_default_node_pool", false) == true,
	}
	faults := {fault | some fault, fine in checks; not fine}
}

default gke_encrypts(_) := false

gke_encrypts(cluster) if {
	cluster.database_encryption[0].state == "ENCRYPTED"
	cluster.database_encryption[0].key_name
}

default gke_private(_) := false

gke_private(cluster) if cluster.private_cluster_config[0].enable_private_nodes == true

default gke_identity(_) := false

gke_identity(cluster) if cluster.workload_identity_config[0].workload_pool

# Networks: nothing is open to the world.
deny contains message if {
	some kind in ["aws_security_group", "aws_default_security_group"]
	some name, blocks in input.resource[kind]
	some group in blocks
	some rule in group.ingress
	some cidr in rule.cidr_blocks
	cidr == "0.0.0.0/0"
	message := sprintf("%s.%s lets the whole internet in", [kind, name])
}

deny contains message if {
	some name, blocks in input.resource.aws_vpc_security_group_ingress_rule
	some rule in blocks
	rule.cidr_ipv4 == "0.0.0.0/0"
	message := sprintf("aws_vpc_security_group_ingress_rule.%s lets the whole internet in", [name])
}

deny contains message if {
	some name, blocks in input.resource.google_compute_firewall
	some rule in blocks
	rule.allow
	"0.0.0.0/0" in rule.source_ranges
	message := sprintf("google_compute_firewall.%s lets the whole internet in", [name])
}

deny contains message if {
	some name, blocks in input.resource.aws_subnet
	some subnet in blocks
	object.get(subnet, "map_public_ip_on_launch", false) == true
	message := sprintf("aws_subnet.%s gives every instance a public address", [name])
}
