terraform {
  required_providers {
    mlplatform = { source = "course.local/iaclab/mlplatform" }
  }
}

variable "name" { type = string }
variable "environment" { type = string }
variable "kind" { type = tuple([string, number, number]) }
variable "zones" { type = list(string) }

resource "mlplatform_gpu_node_pool" "this" {
  name          = var.name
  accelerator   = var.kind[0]
  node_count    = var.kind[1]
  gpus_per_node = var.kind[2]
  zones         = var.zones
  labels        = { environment = var.environment, managed = "terraform" }

  taint {
    key    = "team"
    value  = var.environment
    effect = "PreferNoSchedule"
  }
}

output "pool" { value = mlplatform_gpu_node_pool.this }
