terraform {
  required_providers {
    mlplatform = { source = "course.local/iaclab/mlplatform" }
  }
}

variable "env" {}

resource "mlplatform_model_bucket" "models" {
  name       = "ml-${var.env}-models"
  encryption = "aws:kms"
  tags       = { environment = var.env, owner = "team-ml@course.local" }
  lifecycle_rule {
    id                         = "a"
    noncurrent_expiration_days = 90
  }
}

resource "mlplatform_model_bucket" "datasets" {
  name       = "ml-${var.env}-datasets"
  encryption = "aws:kms"
  tags       = { environment = var.env, owner = "team-ml@course.local" }
  lifecycle_rule {
    id              = "a"
    prefix          = "tmp/"
    expiration_days = 7
  }
  lifecycle_rule {
    id                         = "b"
    noncurrent_expiration_days = 30
  }
}

output "urls" {
  value = { m = mlplatform_model_bucket.models.url, d = mlplatform_model_bucket.datasets.url }
}
