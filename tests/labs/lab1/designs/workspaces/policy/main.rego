package compliance

import rego.v1

resources contains r if {
	some path, r
	walk(input.planned_values, [path, r])
	r.mode == "managed"
}

buckets contains r if {
	some r in resources
	r.type == "mlplatform_model_bucket"
}

violation contains {"msg": sprintf("%s: versions", [b.address])} if {
	some b in buckets
	b.values.versioning == false
}

violation contains {"msg": sprintf("%s: tags", [b.address])} if {
	some b in buckets
	not tagged(b.values)
}

violation contains {"msg": sprintf("%s: force_destroy", [b.address])} if {
	some b in buckets
	b.values.force_destroy
	b.values.tags.environment != "dev"
}

violation contains {"msg": sprintf("%s: taint", [p.address])} if {
	some p in resources
	p.type == "mlplatform_gpu_node_pool"
	p.values.gpu_taint == false
}

violation contains {"msg": sprintf("%s: quota", [c.address])} if {
	some c in resources
	c.type == "mlplatform_cluster"
	not is_number(c.values.gpu_quota)
}

tagged(values) if {
	values.tags.environment
	values.tags.owner
}
