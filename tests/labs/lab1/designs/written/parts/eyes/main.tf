terraform {
  required_providers {
    mlplatform = { source = "course.local/iaclab/mlplatform" }
  }
}

variable "env" {}
variable "gpus" {}

resource "mlplatform_cluster" "eyes" {
  name       = "eyes-${var.env}"
  namespaces = ["ml-${var.env}-monitoring", "ml-${var.env}-dashboards"]
  gpu_quota  = 0
}

resource "terraform_data" "alert" {
  for_each = var.gpus
  input    = jsonencode({ alert = "GpusMissing", expr = "gpus{pool=\"${each.key}\"} < ${each.value}" })
}

check "gpus" {
  data "mlplatform_cluster_info" "now" {
    depends_on = [terraform_data.alert]
  }
  assert {
    condition     = data.mlplatform_cluster_info.now.total_gpus >= sum(values(var.gpus))
    error_message = "GPUs are missing."
  }
}
