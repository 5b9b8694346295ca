terraform {
  required_providers {
    mlplatform = { source = "course.local/iaclab/mlplatform" }
  }
}

variable "environment" { type = string }
variable "zones" { type = list(string) }
variable "quota" { type = number }
variable "names" { type = list(string) }
variable "kinds" { type = list(tuple([string, number, number])) }

module "pool" {
  source      = "./pool"
  count       = length(var.names)
  name        = "ml-${var.environment}-${var.names[count.index]}"
  environment = var.environment
  kind        = var.kinds[count.index]
  zones       = var.zones
}

resource "mlplatform_cluster" "team" {
  name         = "ml-${var.environment}"
  namespaces   = toset([for purpose in ["serve", "train"] : "ml-${var.environment}-${purpose}"])
  gpu_quota    = var.quota
  memory_quota = "512Gi"
  labels       = { environment = var.environment, team = "ml" }
}

output "pools" { value = module.pool[*].pool }
output "kubeconfig" {
  value     = mlplatform_cluster.team.kubeconfig
  sensitive = true
}
