variable "environment" {
  type = string
}

variable "gpus" {
  description = "GPUs that each pool should offer, by its name."
  type        = map(number)
}

resource "mlplatform_cluster" "monitoring" {
  name       = "ml-${var.environment}-monitoring"
  namespaces = ["ml-${var.environment}-monitoring"]
  gpu_quota  = 0
  labels     = { environment = var.environment }
}

resource "terraform_data" "alert" {
  for_each = var.gpus
  input    = { pool = each.key, gpus = each.value, say = "${each.key} offers fewer than ${each.value} GPUs" }
}

check "every_gpu_is_there" {
  data "mlplatform_cluster_info" "now" {
    depends_on = [var.gpus]
  }
  assert {
    condition = alltrue([
      for pool, gpus in var.gpus : lookup(data.mlplatform_cluster_info.now.gpus_by_pool, pool, 0) >= gpus
    ])
    error_message = "A pool offers fewer GPUs than it should."
  }
}
