terraform {
  required_providers {
    mlplatform = { source = "course.local/iaclab/mlplatform", version = "1.0.0" }
  }
}

variable "environment" {
  type = string
}
variable "pools" {
  type = any
}

resource "mlplatform_cluster" "this" {
  name       = "alerts-${var.environment}"
  namespaces = ["ml-${var.environment}-monitoring"]
  gpu_quota  = 0
}

resource "terraform_data" "alert" {
  count = length(var.pools)
  input = { metric = "gpus", labels = { pool = var.pools[count.index].name }, below = var.pools[count.index].total_gpus }
}

check "ready" {
  data "mlplatform_cluster_info" "now" {}
  assert {
    condition     = alltrue([for p in var.pools : contains(keys(data.mlplatform_cluster_info.now.gpus_by_pool), p.name)])
    error_message = "A pool is away."
  }
}
