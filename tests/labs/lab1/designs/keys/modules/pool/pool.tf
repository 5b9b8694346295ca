terraform {
  required_providers {
    mlplatform = { source = "course.local/iaclab/mlplatform", version = "1.0.0" }
  }
}

variable "pool" {
  type = object({ name = string, accelerator = string, node_count = number, gpus_per_node = number })
}
variable "environment" {
  type = string
}
variable "zones" {
  type = set(string)
}

resource "mlplatform_gpu_node_pool" "this" {
  name          = var.pool.name
  accelerator   = var.pool.accelerator
  node_count    = var.pool.node_count
  gpus_per_node = var.pool.gpus_per_node
  zones         = sort(var.zones)
  labels        = { environment = var.environment }
}

output "all" {
  value = mlplatform_gpu_node_pool.this
}
