terraform {
  required_version = ">= 1.11"
  backend "s3" {
    bucket       = "ml-platform-tfstate"
    key          = "dev/terraform.tfstate"
    region       = "eu-west-1"
    use_lockfile = true
  }
}

variable "monthly_budget" {
  default = 3000
}

module "platform" {
  source         = "../../modules/platform"
  environment    = "dev"
  cidr           = "10.10.0.0/16"
  zones          = ["eu-west-1a", "eu-west-1b"]
  gpu_quota      = 4
  monthly_budget = var.monthly_budget
  pools = {
    train = { accelerator = "t4", nodes = 2, gpus = 2 }
    serve = { accelerator = "l4", nodes = 1, gpus = 1 }
  }
}

output "environment" {
  value = "dev"
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
