terraform {
  required_version = ">= 1.11"

  required_providers {
    mlplatform = {
      source  = "course.local/iaclab/mlplatform"
      version = "~> 1.0"
    }
  }
}
