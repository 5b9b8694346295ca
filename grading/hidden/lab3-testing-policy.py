"""What is looked at after lab 3 was handed in: the same faults in other shapes, and other things that are right."""

from __future__ import annotations

import yaml

from iaclab.checks.lab3 import admission, modules, pipeline, policies
from iaclab.checks.lab3 import cases as variants
from iaclab.checks.lab3.proof import record

_CASES = yaml.safe_load("""
modules:
  faulty:
    no nodes at all are taken:
      variables.tf: [["var.nodes >= 1 && var.nodes <= 8", "var.nodes <= 8"]]
    nine nodes are taken:
      variables.tf: [["var.nodes <= 8", "var.nodes <= 9"]]
    too many nodes only make a warning:
      variables.tf: [["var.nodes >= 1 && var.nodes <= 8", "var.nodes != null"]]
      checks.tf: |
        check "nodes" {
          assert {
            condition     = var.nodes >= 1 && var.nodes <= 8
            error_message = "A team trains on 1 to 8 nodes."
          }
        }
    the output bucket is no bucket's name:
      outputs.tf: [["mlplatform_model_bucket.models.name", "var.team"]]
    the quota counts nodes:
      main.tf: [["var.nodes * var.gpus_per_node", "var.nodes"]]
    there is no namespace to serve in:
      main.tf: [['["${var.team}-train", "${var.team}-serve"]', '["${var.team}-train"]']]
  right:
    two validations in other words:
      variables.tf: |
        variable "team" {
          type     = string
          nullable = false
        }

        variable "nodes" {
          type    = number
          default = 2
          validation {
            condition     = var.nodes > 0
            error_message = "One node at least."
          }
          validation {
            condition     = var.nodes < 9
            error_message = "Eight nodes at most."
          }
        }

        variable "accelerator" {
          type    = string
          default = "a10g"
        }

        variable "gpus_per_node" {
          type    = number
          default = 4
        }

        variable "zones" {
          type    = list(string)
          default = ["eu-west-1a", "eu-west-1b"]
        }
      outputs.tf: |
        output "namespaces" {
          value = sort(mlplatform_cluster.team.namespaces)
        }

        output "gpu_quota" {
          value = mlplatform_cluster.team.gpu_quota
        }

        output "bucket" {
          value = "${var.team}-models"
        }

        output "hourly_cost" {
          value = mlplatform_gpu_node_pool.train.hourly_cost
        }
    a bucket more:
      main.tf: |
        resource "mlplatform_cluster" "it" {
          name       = var.team
          namespaces = formatlist("%s-%s", var.team, ["serve", "train"])
          gpu_quota  = var.gpus_per_node * var.nodes
        }

        resource "mlplatform_gpu_node_pool" "one" {
          name          = "${var.team}-train"
          accelerator   = var.accelerator
          node_count    = var.nodes
          gpus_per_node = var.gpus_per_node
        }

        resource "mlplatform_model_bucket" "of" {
          for_each = toset(["models", "datasets"])
          name     = "${var.team}-${each.key}"
        }
      outputs.tf: |
        output "namespaces" {
          value = tolist(mlplatform_cluster.it.namespaces)
        }

        output "gpu_quota" {
          value = var.nodes * var.gpus_per_node
        }

        output "bucket" {
          value = mlplatform_model_bucket.of["models"].name
        }

plans:
  faulty:
    a bucket without versions in a module:
      add: {'module.storage["eu"].mlplatform_model_bucket.this': {name: fraud-eu, versioning: false}}
    versions switched off by an update:
      set: {mlplatform_model_bucket.models: {versioning: false}}
      actions: {mlplatform_model_bucket.models: [update]}
    a pool of a list, without taint:
      add:
        'mlplatform_gpu_node_pool.spot[0]':
          {name: fraud-spot, accelerator: t4, node_count: 1, gpus_per_node: 1, gpu_taint: false}
    a pool replaced by one without taint:
      set: {mlplatform_gpu_node_pool.train: {gpu_taint: false}}
      actions: {mlplatform_gpu_node_pool.train: [delete, create]}
    an accelerator not approved, two modules deep:
      add:
        'module.team.module.pools["big"].mlplatform_gpu_node_pool.this':
          {name: fraud-big, accelerator: l40s, node_count: 1, gpus_per_node: 1}
    a name that begins like an approved one:
      set: {mlplatform_gpu_node_pool.train: {accelerator: a100-40gb, node_count: 1}}
    pools that are too dear together:
      add:
        'module.a.mlplatform_gpu_node_pool.this': {name: fraud-a, accelerator: a10g, node_count: 2, gpus_per_node: 8}
        'module.b.mlplatform_gpu_node_pool.this': {name: fraud-b, accelerator: a10g, node_count: 2, gpus_per_node: 4}
    a new pool beside those that are there:
      add: {mlplatform_gpu_node_pool.more: {name: fraud-more, accelerator: a100-80gb, node_count: 1, gpus_per_node: 8}}
      actions:
        mlplatform_gpu_node_pool.batch: [no-op]
        mlplatform_gpu_node_pool.train: [no-op]
        mlplatform_gpu_node_pool.serve: [no-op]
  right:
    a dear pool that goes:
      delete:
        mlplatform_gpu_node_pool.old:
          {name: fraud-old, accelerator: h100-80gb, node_count: 8, gpus_per_node: 8, gpu_taint: false}
    just below the ceiling:
      set: {mlplatform_gpu_node_pool.train: {accelerator: l4, node_count: 6, gpus_per_node: 8}}
    something else with fields of the same names:
      add:
        terraform_data.notes:
          {input: {versioning: false, accelerator: h100-80gb}, versioning: false, gpu_taint: false, hourly_cost: 900}
    nothing to do:
      nothing: true

manifests:
  faulty:
    an init container by tag: |
      apiVersion: apps/v1
      kind: StatefulSet
      metadata: {name: store}
      spec:
        serviceName: store
        selector: {matchLabels: {app: store}}
        template:
          metadata: {labels: {app: store}}
          spec:
            initContainers:
              - name: fetch
                image: registry.course.local/fetch:2
                resources: {limits: {memory: 1Gi}}
            containers:
              - name: store
                image: registry.course.local/storeDIGEST
                resources: {limits: {memory: 4Gi}}
    a registry whose name begins like ours: |
      apiVersion: batch/v1
      kind: CronJob
      metadata: {name: nightly}
      spec:
        schedule: "0 3 * * *"
        jobTemplate:
          spec:
            template:
              spec:
                restartPolicy: Never
                containers:
                  - name: it
                    image: registry.course.local.example.org/trainDIGEST
                    resources: {limits: {memory: 4Gi}}
    a foreign image by digest: |
      apiVersion: v1
      kind: Pod
      metadata: {name: tool}
      spec:
        containers:
          - name: tool
            image: docker.io/someone/toolDIGEST
            resources: {limits: {memory: 4Gi}}
    a privileged init container: |
      apiVersion: apps/v1
      kind: DaemonSet
      metadata: {name: agent}
      spec:
        selector: {matchLabels: {app: agent}}
        template:
          metadata: {labels: {app: agent}}
          spec:
            initContainers:
              - name: sysctl
                image: registry.course.local/sysctlDIGEST
                resources: {limits: {memory: 1Gi}}
                securityContext: {runAsUser: 0, privileged: true}
            containers:
              - name: agent
                image: registry.course.local/agentDIGEST
                resources: {limits: {memory: 1Gi}}
    the host's network: |
      apiVersion: batch/v1
      kind: Job
      metadata: {name: allreduce}
      spec:
        template:
          spec:
            hostNetwork: true
            restartPolicy: Never
            containers:
              - name: train
                image: registry.course.local/trainDIGEST
                resources: {limits: {memory: 128Gi}}
    a second container without a limit: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: ranker}
      spec:
        selector: {matchLabels: {app: ranker}}
        template:
          metadata: {labels: {app: ranker}}
          spec:
            containers:
              - name: server
                image: registry.course.local/rankerDIGEST
                resources: {limits: {memory: 16Gi}}
              - name: proxy
                image: registry.course.local/proxyDIGEST
    requests in place of limits: |
      apiVersion: batch/v1
      kind: CronJob
      metadata: {name: nightly}
      spec:
        schedule: "0 3 * * *"
        jobTemplate:
          spec:
            template:
              spec:
                restartPolicy: Never
                containers:
                  - name: it
                    image: registry.course.local/trainDIGEST
                    resources: {requests: {memory: 4Gi}}
    a port of every node: |
      apiVersion: v1
      kind: Service
      metadata: {name: ranker, annotations: {course.local/owner: fraud}}
      spec:
        ports: [{port: 80}]
        selector: {app: ranker}
        type: NodePort
    an approval by nobody: |
      apiVersion: v1
      kind: Service
      metadata: {name: ranker, annotations: {course.local/exposed-by: ""}}
      spec:
        type: LoadBalancer
        selector: {app: ranker}
        ports: [{port: 80}]
    a star in a later rule: |
      apiVersion: rbac.authorization.k8s.io/v1
      kind: ClusterRole
      metadata: {name: operator}
      rules:
        - {apiGroups: [""], resources: [pods], verbs: [get]}
        - {apiGroups: [apps], resources: [deployments], verbs: [get, "*"]}
  right:
    every kind of container, as it should be: |
      apiVersion: batch/v1
      kind: CronJob
      metadata: {name: nightly}
      spec:
        schedule: "0 3 * * *"
        jobTemplate:
          spec:
            template:
              spec:
                hostNetwork: false
                restartPolicy: Never
                initContainers:
                  - name: fetch
                    image: registry.course.local/a/b/fetchDIGEST
                    resources: {limits: {memory: 1073741824}}
                containers:
                  - name: latest
                    image: registry.course.local:443/train:latestDIGEST
                    resources: {limits: {memory: 4Gi, cpu: "2"}}
    services inside the cluster: |
      apiVersion: v1
      kind: Service
      metadata: {name: store}
      spec: {clusterIP: None, selector: {app: store}, ports: [{port: 80}]}
      ---
      apiVersion: v1
      kind: Service
      metadata: {name: features}
      spec: {type: ExternalName, externalName: features.course.local}
      ---
      apiVersion: v1
      kind: Service
      metadata: {name: ranker}
      spec: {type: ClusterIP, selector: {app: ranker}, ports: [{port: 80}]}
    a node port that somebody approved: |
      apiVersion: v1
      kind: Service
      metadata: {name: probe, annotations: {course.local/exposed-by: "M. Roe, CHG-7"}}
      spec: {type: NodePort, selector: {app: probe}, ports: [{port: 80}]}
    roles that name what they may do: |
      apiVersion: rbac.authorization.k8s.io/v1
      kind: ClusterRole
      metadata: {name: reader}
      rules:
        - {apiGroups: [""], resources: [pods, pods/log], verbs: [get, list, watch]}
        - {nonResourceURLs: ["*"], verbs: [get]}
      ---
      apiVersion: rbac.authorization.k8s.io/v1
      kind: ClusterRole
      metadata: {name: aggregate}
      aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: reader}}]}
    objects of kinds that nobody thought of: |
      apiVersion: kustomize.config.k8s.io/v1beta1
      kind: Kustomization
      resources: [serving.yaml]
      images: [{name: ranker, newTag: latest}]
      ---
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: {name: default-deny}
      spec: {podSelector: {}, policyTypes: [Ingress]}

pipeline:
  a module that breaks its contract:
    infra/outputs.tf: [['output "bucket"', 'output "bucket_name"']]
  a manifest that breaks a rule:
    manifests/serving.yaml: [["memory: 16Gi", 'cpu: "8"']]
  a policy whose tests fail:
    policy/later_test.rego: |
      package later_test

      test_that_fails if 1 == 2

images:
  faulty:
    an init container by tag: {init: ["registry.course.local/fetch:2"], images: [registry.course.local/rankerDIGEST]}
    a second container from elsewhere: {images: [registry.course.local/rankerDIGEST, quay.io/x/proxyDIGEST]}
    a registry whose name begins like ours: {images: [registry.course.local.example.org/rankerDIGEST]}
    an image changed after the pod was made:
      images: [registry.course.local/rankerDIGEST]
      then: {images: ["registry.course.local/ranker:latest"]}
  right:
    a registry with a port, and a tag beside the digest: {images: ["registry.course.local:5000/a/ranker:4DIGEST"]}
    init containers by digest: {init: [registry.course.local/fetchDIGEST], images: [registry.course.local/rankerDIGEST]}
    an init container of somebody else: {namespace: other, init: ["busybox"], images: ["nginx:1"]}

model-cards:
  faulty:
    a model card that says nothing: {annotations: {course.local/model-card: ""}}
    a model card of blanks: {annotations: {course.local/model-card: "  "}}
    no model card, and more labels: {labels: {component: inference, team: fraud}}
    a model card taken away:
      annotations: {course.local/model-card: "https://models.course.local/4"}
      then: {annotations: {course.local/model-card: null}}
  right:
    inference in a sandbox: {namespace: sandbox}
    inference in a namespace of somebody else: {namespace: other}
    a Deployment without labels: {labels: {}}
""")
_NONE = ("", "", "")

CHECKS = {
    "tests.other-modules": record(
        6, "the tests catch other faults of the module", lambda _: modules.proof(variants.modules(_CASES)), _NONE
    ),
    "plans.other-shapes": record(
        8,
        "the policies catch the faults of plans in other shapes",
        lambda _: policies.proof(variants.plans(_CASES)),
        _NONE,
    ),
    "manifests.other-shapes": record(
        10,
        "the policies catch the faults of manifests in other kinds, containers and rules",
        lambda _: policies.proof(variants.manifests(_CASES)),
        _NONE,
    ),
    "pipeline.other-changes": record(
        6,
        "the pipeline stops what its tests and its policies for manifests have to stop",
        lambda _: pipeline.proof(_CASES["pipeline"], also=True),
        _NONE,
    ),
    "images.other-pods": record(
        4,
        "the API server refuses every container and every change of a pod that breaks the rule",
        lambda profile: admission.images(profile, _CASES["images"], wait=False),
        _NONE,
    ),
    "model-cards.other-deployments": record(
        4,
        "Gatekeeper refuses model cards that say nothing, and changes that take one away",
        lambda profile: admission.model_cards(profile, _CASES["model-cards"], wait=False),
        _NONE,
    ),
}
