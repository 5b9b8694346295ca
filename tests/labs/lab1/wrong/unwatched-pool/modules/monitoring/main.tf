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
  for_each = { for pool in slice(keys(var.gpus), 0, 1) : pool => var.gpus[pool] }
  input    = { pool = each.key, gpus = each.value, say = "${each.key} offers fewer than ${each.value} GPUs" }
}
