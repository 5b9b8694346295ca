terraform {
  required_providers {
    mlplatform = { source = "course.local/iaclab/mlplatform" }
  }
}

variable "env" {}
variable "subnets" {}
variable "quota" {}
variable "pools" {}
variable "budget" {}

resource "mlplatform_cluster" "team" {
  for_each   = toset([var.env])
  name       = "ml-${each.key}"
  namespaces = ["ml-${each.key}-train", "ml-${each.key}-serve"]
  gpu_quota  = var.quota
  labels     = { environment = each.key }
}

resource "mlplatform_gpu_node_pool" "train" {
  name          = "ml-${var.env}-train"
  accelerator   = var.pools.train[0]
  node_count    = var.pools.train[1]
  gpus_per_node = var.pools.train[2]
  zones         = keys(var.subnets)
  labels        = { environment = var.env }
  lifecycle {
    postcondition {
      condition     = self.hourly_cost * 730 <= var.budget
      error_message = "Training alone is over the budget."
    }
  }
}

resource "mlplatform_gpu_node_pool" "serve" {
  name          = "ml-${var.env}-serve"
  accelerator   = var.pools.serve[0]
  node_count    = var.pools.serve[1]
  gpus_per_node = var.pools.serve[2]
  zones         = keys(var.subnets)
  labels        = { environment = var.env }
}

locals {
  pools = [mlplatform_gpu_node_pool.train, mlplatform_gpu_node_pool.serve]
}

output "gpus" {
  value = { for pool in local.pools : pool.name => pool.total_gpus }
}
output "nodes" {
  value = concat(local.pools[*].node_names...)
}
output "monthly_cost" {
  value = sum(local.pools[*].hourly_cost) * 730
}
output "kubeconfig" {
  value     = mlplatform_cluster.team[var.env].kubeconfig
  sensitive = true
}
