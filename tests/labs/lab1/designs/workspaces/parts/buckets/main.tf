terraform {
  required_providers {
    mlplatform = { source = "course.local/iaclab/mlplatform" }
  }
}

variable "environment" { type = string }

locals {
  buckets = {
    datasets = { encryption = "AES256", rules = [{ id = "tmp", prefix = "tmp/", days = 7, old = null }] }
    models   = { encryption = "aws:kms", rules = [{ id = "old", prefix = null, days = null, old = 90 }] }
  }
}

resource "mlplatform_model_bucket" "this" {
  for_each   = local.buckets
  name       = "ml-${var.environment}-${each.key}"
  versioning = true
  encryption = each.value.encryption
  tags       = { environment = var.environment, owner = "vision", cost-centre = "4711" }

  dynamic "lifecycle_rule" {
    for_each = each.value.rules
    content {
      id                         = lifecycle_rule.value.id
      prefix                     = lifecycle_rule.value.prefix
      expiration_days            = lifecycle_rule.value.days
      noncurrent_expiration_days = lifecycle_rule.value.old
    }
  }
}

output "urls" { value = values(mlplatform_model_bucket.this)[*].url }
