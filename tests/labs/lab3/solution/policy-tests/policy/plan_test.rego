package plan_test

import data.main

resource(type, values) := {"address": "it", "mode": "managed", "type": type, "change": {"after": values}}

bucket(values) := resource("mlplatform_model_bucket", object.union({"versioning": true}, values))

pool(values) := resource(
	"mlplatform_gpu_node_pool",
	object.union({"accelerator": "l4", "gpu_taint": true, "hourly_cost": 60}, values),
)

denied(changes) := found if found := main.deny with input as {"resource_changes": changes}

test_what_is_right_passes if count(denied([bucket({}), pool({})])) == 0

test_buckets_keep_versions if "it: a bucket keeps versions" in denied([bucket({"versioning": false})])

test_pools_have_the_taint if "it: a pool has the GPU taint" in denied([pool({"gpu_taint": false})])

test_accelerators_are_approved if "it: h100-80gb is not approved" in denied([pool({"accelerator": "h100-80gb"})])

test_pools_count_together if count(denied([pool({}), pool({"hourly_cost": 50})])) == 1

test_what_goes_is_no_matter if count(denied([object.union(bucket({}), {"change": {"after": null}})])) == 0
