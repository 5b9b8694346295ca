package buckets

import rego.v1

changes contains change if {
	some change in input.resource_changes
	change.type == "mlplatform_model_bucket"
}

deny contains change.address if {
	some change in changes
	change.change.after.versioning != true
}

deny contains change.address if {
	some change in changes
	tags := object.get(change.change.after, "tags", {})
	missing := {"owner", "environment"} - {key | some key, _ in tags}
	count(missing) > 0
}

deny contains change.address if {
	some change in changes
	change.change.after.force_destroy
	not contains(change.change.after.name, "-dev-")
}
