locals {
  tags = { environment = "dev", owner = "ml-platform" }
}

resource "mlplatform_model_bucket" "datasets" {
  name          = "ml-dev-datasets"
  tags          = local.tags
  force_destroy = true

  lifecycle_rule {
    id              = "scratch"
    prefix          = "tmp/"
    expiration_days = 7
  }
}

resource "mlplatform_model_bucket" "models" {
  name          = "ml-dev-models"
  encryption    = "aws:kms"
  tags          = local.tags
  force_destroy = true

  lifecycle_rule {
    id                         = "old-versions"
    noncurrent_expiration_days = 90
  }
}
