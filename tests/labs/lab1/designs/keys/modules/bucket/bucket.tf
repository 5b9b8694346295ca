terraform {
  required_providers {
    mlplatform = { source = "course.local/iaclab/mlplatform", version = "1.0.0" }
  }
}

variable "name" {
  type = string
}
variable "environment" {
  type = string
}
variable "kms" {
  type    = bool
  default = false
}
variable "expire" {
  type    = map(number)
  default = {}
}
variable "keep_old" {
  type    = number
  default = null
}

resource "mlplatform_model_bucket" "this" {
  name       = var.name
  encryption = var.kms ? "aws:kms" : "AES256"
  tags       = { environment = var.environment, owner = "ml" }

  dynamic "lifecycle_rule" {
    for_each = var.expire
    content {
      id              = "expire-${trimsuffix(lifecycle_rule.key, "/")}"
      prefix          = lifecycle_rule.key
      expiration_days = lifecycle_rule.value
    }
  }

  dynamic "lifecycle_rule" {
    for_each = var.keep_old[*]
    content {
      id                         = "old"
      noncurrent_expiration_days = lifecycle_rule.value
    }
  }
}

output "url" {
  value = mlplatform_model_bucket.this.url
}
