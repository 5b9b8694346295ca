terraform {
  required_providers {
    mlplatform = { source = "course.local/iaclab/mlplatform" }
  }
}

variable "environment" { type = string }
variable "pools" { type = map(number) }

resource "mlplatform_cluster" "watch" {
  name       = "watch-${var.environment}"
  namespaces = ["ml-${var.environment}-monitoring"]
  gpu_quota  = 0
}

resource "terraform_data" "alerts" {
  input = [for pool, gpus in var.pools : "${pool} < ${gpus}"]
}

data "mlplatform_cluster_info" "now" {}

check "alerts" {
  assert {
    condition     = length(terraform_data.alerts.output) == length(var.pools) && data.mlplatform_cluster_info.now.node_count > 0
    error_message = "An alert is missing."
  }
}
