package manifests_test

import data.main

digest := "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"

good := {
	"name": "c",
	"image": sprintf("registry.course.local/c@sha256:%s", [digest]),
	"resources": {"limits": {"memory": "1Gi"}},
}

pod(changes) := {"kind": "Pod", "spec": {"containers": [object.union(good, changes)]}}

denied(object) := found if found := main.deny with input as object

test_a_good_container_passes_in_every_kind if {
	template := {"spec": {"containers": [good], "initContainers": [good]}}
	every object in [
		pod({}),
		{"kind": "Deployment", "spec": {"template": template}},
		{"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": template}}}},
	] {
		count(denied(object)) == 0
	}
}

test_tags_are_refused if count(denied(pod({"image": "registry.course.local/c:1"}))) == 1

test_privilege_is_refused if "c is privileged" in denied(pod({"securityContext": {"privileged": true}}))

test_the_hosts_network_is_refused if {
	"hostNetwork of the host is shared" in denied({"kind": "Pod", "spec": {"hostNetwork": true, "containers": [good]}})
}

test_memory_is_limited if {
	"c has no memory limit" in denied({"kind": "Pod", "spec": {"containers": [object.remove(good, {"resources"})]}})
}

service(annotations) := {
	"kind": "Service",
	"metadata": {"name": "s", "annotations": annotations},
	"spec": {"type": "LoadBalancer"},
}

test_exposure_needs_an_approval if {
	"s is exposed, and nobody approved" in denied(service({}))
	count(denied(service({"course.local/exposed-by": "J. Doe"}))) == 0
}

test_stars_are_refused if {
	role := {"kind": "Role", "metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}]}
	"r: a star stands for everything" in denied(role)
}
