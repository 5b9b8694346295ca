package main

pod_spec := input.spec if input.kind == "Pod"

pod_spec := input.spec.template.spec if input.kind in {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"}

pod_spec := input.spec.jobTemplate.spec.template.spec if input.kind == "CronJob"

containers contains container if {
	some field in ["containers", "initContainers", "ephemeralContainers"]
	some container in pod_spec[field]
}

deny contains sprintf("%s: %s is not one of our images by digest", [container.name, container.image]) if {
	some container in containers
	not regex.match(`^registry\.course\.local(:[0-9]+)?/[^@]+@sha256:[0-9a-f]{64}$`, container.image)
}

deny contains sprintf("%s is privileged", [container.name]) if {
	some container in containers
	container.securityContext.privileged
}

deny contains sprintf("%s of the host is shared", [field]) if {
	some field in ["hostNetwork", "hostPID"]
	pod_spec[field]
}

deny contains sprintf("%s has no memory limit", [container.name]) if {
	some container in containers
	not container.resources.limits.memory
}

deny contains sprintf("%s is exposed, and nobody approved", [input.metadata.name]) if {
	input.kind == "Service"
	input.spec.type in {"LoadBalancer", "NodePort"}
	not approved_by
}

approved_by if trim_space(input.metadata.annotations["course.local/exposed-by"]) != ""

deny contains sprintf("%s: a star stands for everything", [input.metadata.name]) if {
	input.kind in {"Role", "ClusterRole"}
	some rule in input.rules
	some field in ["apiGroups", "resources", "verbs"]
	"*" in rule[field]
}
