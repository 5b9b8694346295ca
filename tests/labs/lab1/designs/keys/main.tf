terraform {
  backend "s3" {
    bucket       = "ml-platform-tfstate"
    region       = "eu-west-1"
    use_lockfile = true
  }
}

variable "environment" {
  type = string
}
variable "net" {
  type = number
}
variable "zones" {
  type = list(string)
}
variable "quota" {
  type = number
}
variable "pools" {
  type = map(object({ accelerator = string, node_count = number, gpus_per_node = number }))
}
variable "monthly_budget" {
  type = number
}

module "network" {
  source = "./modules/network"
  cidr   = cidrsubnet("10.0.0.0/8", 8, var.net)
  zones  = var.zones
}

module "pool" {
  source      = "./modules/pool"
  for_each    = var.pools
  pool        = merge(each.value, { name = "ml-${var.environment}-${each.key}" })
  environment = var.environment
  zones       = toset(keys(module.network.subnets))
}

module "team" {
  source      = "./modules/team"
  name        = "ml-${var.environment}"
  purposes    = keys(var.pools)
  gpus        = var.quota
  environment = var.environment
}

module "datasets" {
  source      = "./modules/bucket"
  name        = "ml-${var.environment}-datasets"
  environment = var.environment
  expire      = { "tmp/" = 7, "logs/" = 30 }
}

module "models" {
  source      = "./modules/bucket"
  name        = "ml-${var.environment}-models"
  environment = var.environment
  kms         = true
  keep_old    = 90
}

module "alerts" {
  source      = "./modules/alerts"
  environment = var.environment
  pools       = [for pool in module.pool : pool.all]
}

locals {
  monthly_cost = sum([for pool in module.pool : pool.all.hourly_cost]) * 730
}

resource "terraform_data" "budget" {
  input = ceil(local.monthly_cost)
  lifecycle {
    precondition {
      condition     = local.monthly_cost <= var.monthly_budget
      error_message = "${var.environment} is too dear."
    }
  }
}

output "environment" {
  value = var.environment
}
output "subnets" {
  value = module.network.subnets
}
output "nodes" {
  value = sort(flatten([for pool in module.pool : pool.all.node_names]))
}
output "buckets" {
  value = { datasets = module.datasets.url, models = module.models.url }
}
output "kubeconfig" {
  value     = module.team.kubeconfig
  sensitive = true
}
output "monthly_cost" {
  value = floor(local.monthly_cost)
}
