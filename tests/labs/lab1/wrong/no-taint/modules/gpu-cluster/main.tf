variable "environment" {
  type = string
}

variable "zones" {
  type = list(string)
}

variable "gpu_quota" {
  description = "GPUs that one namespace may use."
  type        = number
}

variable "pools" {
  description = "Node pools by their purpose."
  type        = map(object({ accelerator = string, nodes = number, gpus = number }))
}

resource "mlplatform_cluster" "team" {
  name       = "ml-${var.environment}"
  namespaces = ["ml-${var.environment}-train", "ml-${var.environment}-serve"]
  gpu_quota  = var.gpu_quota
  labels     = { environment = var.environment }
}

resource "mlplatform_gpu_node_pool" "pool" {
  for_each      = var.pools
  name          = "ml-${var.environment}-${each.key}"
  accelerator   = each.value.accelerator
  node_count    = each.value.nodes
  gpus_per_node = each.value.gpus
  zones         = var.zones
  gpu_taint     = false
  labels        = { environment = var.environment }
}

output "kubeconfig" {
  value     = mlplatform_cluster.team.kubeconfig
  sensitive = true
}

output "nodes" {
  value = flatten([for pool in mlplatform_gpu_node_pool.pool : pool.node_names])
}

output "gpus" {
  description = "GPUs by the name of the pool."
  value       = { for pool in mlplatform_gpu_node_pool.pool : pool.name => pool.total_gpus }
}

output "hourly_cost" {
  value = sum([for pool in mlplatform_gpu_node_pool.pool : pool.hourly_cost])
}
