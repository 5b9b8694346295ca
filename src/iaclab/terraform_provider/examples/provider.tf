terraform {
  required_providers {
    mlplatform = {
      source  = "course.local/iaclab/mlplatform"
      version = "~> 1.0"
    }
  }
}
