variable "environment" {
  type = string
}

variable "force_destroy" {
  description = "Whether buckets may be destroyed with what is in them."
  type        = bool
  default     = false
}

locals {
  tags = { environment = var.environment, owner = "ml-platform" }
}

resource "mlplatform_model_bucket" "datasets" {
  name          = "ml-${var.environment}-datasets"
  tags          = local.tags
  force_destroy = var.force_destroy

  lifecycle_rule {
    id              = "scratch"
    prefix          = "tmp/"
    expiration_days = 7
  }
}

resource "mlplatform_model_bucket" "models" {
  name          = "ml-${var.environment}-models"
  encryption    = "aws:kms"
  tags          = local.tags
  force_destroy = var.force_destroy

  lifecycle_rule {
    id                         = "old-versions"
    noncurrent_expiration_days = 90
  }
}

output "buckets" {
  value = { datasets = mlplatform_model_bucket.datasets.url, models = mlplatform_model_bucket.models.url }
}
