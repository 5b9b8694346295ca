terraform {
  required_version = ">= 1.10.0, < 2.0.0" # use_lockfile

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0.0, < 7.0.0"
    }
  }

  # The bucket, its region and its key come with `terraform init -backend-config=<environment>.s3.tfbackend`.
  backend "s3" {
    key          = "ml-platform/eks.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}
