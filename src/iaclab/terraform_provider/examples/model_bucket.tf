resource "mlplatform_model_bucket" "models" {
  name = "vision-models"
  tags = { team = "vision" }

  lifecycle_rule {
    id              = "scratch"
    prefix          = "tmp/"
    expiration_days = 7
  }

  lifecycle_rule {
    id                         = "old-versions"
    noncurrent_expiration_days = 90
  }
}
