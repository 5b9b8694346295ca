terraform {
  required_providers {
    mlplatform = { source = "course.local/iaclab/mlplatform", version = "1.0.0" }
  }
}

resource "mlplatform_model_bucket" "states" {
  name = "ml-platform-tfstate"
}
