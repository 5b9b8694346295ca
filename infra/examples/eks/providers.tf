provider "aws" {
  region = var.region

  default_tags {
    tags = {
      environment = var.environment
      managed-by  = "terraform"
      owner       = var.owner
      platform    = "ml"
    }
  }
}
