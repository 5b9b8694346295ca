terraform {
  required_version = ">= 1.11"
  backend "s3" {
    bucket       = "ml-platform-tfstate"
    key          = "prod/terraform.tfstate"
    region       = "eu-west-1"
    use_lockfile = true
  }
}

variable "monthly_budget" {
  default = 75000
}

module "platform" {
  source         = "../../modules/platform"
  environment    = "prod"
  cidr           = "10.30.0.0/16"
  zones          = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
  gpu_quota      = 24
  monthly_budget = var.monthly_budget
  pools = {
    train = { accelerator = "a100-80gb", nodes = 3, gpus = 8 }
    serve = { accelerator = "l4", nodes = 3, gpus = 4 }
  }
}

output "environment" {
  value = "prod"
}

output "subnets" {
  value = module.platform.subnets
}

output "nodes" {
  value = module.platform.nodes
}

output "buckets" {
  value = module.platform.buckets
}

output "kubeconfig" {
  value     = module.platform.kubeconfig
  sensitive = true
}

output "monthly_cost" {
  value = module.platform.monthly_cost
}
