terraform {
  required_version = ">= 1.9.0, < 2.0.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.50.0, < 8.0.0"
    }
  }

  # The bucket comes with `terraform init -backend-config=<environment>.gcs.tfbackend`; GCS locks by itself.
  backend "gcs" {
    prefix = "ml-platform/gke"
  }
}
