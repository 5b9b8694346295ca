locals {
  name = "ml-${var.environment}"
  prod = var.environment == "prod"
}

module "network" {
  source = "../../modules/network-aws"

  name               = local.name
  availability_zones = var.availability_zones
  single_nat_gateway = !local.prod
}

module "cluster" {
  source = "../../modules/eks-cluster"

  name                = local.name
  kubernetes_version  = var.kubernetes_version
  subnet_ids          = values(module.network.private_subnet_ids)
  administrators      = var.administrators
  public_access_cidrs = var.public_access_cidrs
  deletion_protection = local.prod
}

module "gpu" {
  source = "../../modules/eks-gpu"

  name               = local.name
  cluster_name       = module.cluster.name
  kubernetes_version = module.cluster.kubernetes_version
  subnet_ids         = module.network.private_subnet_ids

  pools = {
    # One GPU a node, in every zone; Spot, because a request can be sent again.
    inference = {
      instance_types = ["g6.2xlarge", "g5.2xlarge"]
      capacity_type  = local.prod ? "ON_DEMAND" : "SPOT"
      min_size       = var.inference_nodes.min
      max_size       = var.inference_nodes.max
      labels         = { workload = "inference" }
    }

    # Eight GPUs a node, in one zone: gradients cross the network at every step.
    training = {
      instance_types = ["p5.48xlarge"]
      max_size       = var.training_nodes
      zones          = [var.availability_zones[0]]
      disk_gib       = 500
      labels         = { workload = "training" }
      taints         = { workload = { value = "training", effect = "NO_SCHEDULE" } }
    }
  }
}
