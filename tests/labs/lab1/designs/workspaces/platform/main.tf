terraform {
  backend "s3" {
    bucket               = "ml-platform-tfstate"
    key                  = "platform.tfstate"
    workspace_key_prefix = "environments"
    region               = "eu-west-1"
    use_lockfile         = true
  }
}

variable "monthly_budget" {
  type    = number
  default = 80000
}

locals {
  ab = ["eu-west-1a", "eu-west-1b"]
  sizes = {
    dev     = { net = 10, zones = local.ab, quota = 4, train = ["t4", 2, 2], serve = ["l4", 1, 1] }
    staging = { net = 20, zones = local.ab, quota = 8, train = ["a10g", 2, 4], serve = ["l4", 2, 2] }
    prod    = { net = 30, zones = concat(local.ab, ["eu-west-1c"]), quota = 24, train = ["a100-80gb", 3, 8], serve = ["l4", 3, 4] }
  }
  size    = local.sizes[terraform.workspace]
  gpus    = { for pool in module.compute.pools : pool.name => pool.total_gpus }
  monthly = sum([for pool in module.compute.pools : provider::mlplatform::gpu_hours_cost(pool.accelerator, pool.total_gpus, 730)])
}

terraform {
  required_providers {
    mlplatform = { source = "course.local/iaclab/mlplatform" }
  }
}

module "net" {
  source = "../parts/network"
  cidr   = "10.${local.size.net}.0.0/16"
  zones  = local.size.zones
}

module "compute" {
  source      = "../parts/compute"
  environment = terraform.workspace
  zones       = local.size.zones
  quota       = local.size.quota
  names       = ["train", "serve"]
  kinds       = [local.size.train, local.size.serve]
}

module "buckets" {
  source      = "../parts/buckets"
  environment = terraform.workspace
}

module "watch" {
  source      = "../parts/watch"
  environment = terraform.workspace
  pools       = local.gpus
}

output "environment" { value = terraform.workspace }
output "subnets" { value = module.net.subnets }
output "nodes" { value = flatten(module.compute.pools[*].node_names) }
output "buckets" { value = module.buckets.urls }
output "kubeconfig" {
  value     = module.compute.kubeconfig
  sensitive = true
}
output "monthly_cost" {
  value = local.monthly
  precondition {
    condition     = local.monthly <= var.monthly_budget
    error_message = "Too dear: ${local.monthly}."
  }
}
