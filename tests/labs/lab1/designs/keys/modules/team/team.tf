terraform {
  required_providers {
    mlplatform = { source = "course.local/iaclab/mlplatform", version = "1.0.0" }
  }
}

variable "name" {
  type = string
}
variable "purposes" {
  type = set(string)
}
variable "gpus" {
  type = number
}
variable "environment" {
  type = string
}

resource "mlplatform_cluster" "this" {
  name       = var.name
  namespaces = [for purpose in var.purposes : "ml-${var.environment}-${purpose}"]
  gpu_quota  = var.gpus
  labels     = { environment = var.environment }
}

output "kubeconfig" {
  value     = mlplatform_cluster.this.kubeconfig
  sensitive = true
}
