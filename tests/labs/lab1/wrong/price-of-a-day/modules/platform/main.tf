variable "environment" {
  type = string
}

variable "cidr" {
  type = string
}

variable "zones" {
  type = list(string)
}

variable "gpu_quota" {
  type = number
}

variable "pools" {
  type = map(object({ accelerator = string, nodes = number, gpus = number }))
}

variable "monthly_budget" {
  description = "US dollars."
  type        = number
}

locals {
  monthly_cost = module.cluster.hourly_cost * 24
}

module "network" {
  source = "../network"
  cidr   = var.cidr
  zones  = var.zones
}

module "cluster" {
  source      = "../gpu-cluster"
  environment = var.environment
  zones       = keys(module.network.subnets)
  gpu_quota   = var.gpu_quota
  pools       = var.pools
}

module "storage" {
  source        = "../storage"
  environment   = var.environment
  force_destroy = var.environment == "dev"
}

module "monitoring" {
  source      = "../monitoring"
  environment = var.environment
  gpus        = module.cluster.gpus
}

check "within_budget" {
  assert {
    condition     = local.monthly_cost <= var.monthly_budget
    error_message = "${var.environment} costs ${local.monthly_cost} dollars a month; ${var.monthly_budget} are allowed."
  }
}

output "subnets" {
  value = module.network.subnets
}

output "nodes" {
  value = module.cluster.nodes
}

output "buckets" {
  value = module.storage.buckets
}

output "kubeconfig" {
  value     = module.cluster.kubeconfig
  sensitive = true
}

output "monthly_cost" {
  value = local.monthly_cost
}
