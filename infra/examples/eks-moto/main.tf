# The modules with the official provider against moto, which speaks AWS' API on this machine. moto has no access
# entries and no add-ons, so there are none.
provider "aws" {
  region                      = "eu-central-1"
  access_key                  = "moto"
  secret_key                  = "moto"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true

  endpoints {
    ec2  = var.endpoint
    eks  = var.endpoint
    iam  = var.endpoint
    kms  = var.endpoint
    logs = var.endpoint
    sts  = var.endpoint
  }
}

module "network" {
  source = "../../modules/network-aws"

  name               = "ml-moto"
  availability_zones = ["eu-central-1a", "eu-central-1b"]
  single_nat_gateway = true
}

module "cluster" {
  source = "../../modules/eks-cluster"

  name                = "ml-moto"
  kubernetes_version  = "1.35"
  subnet_ids          = values(module.network.private_subnet_ids)
  administrators      = {}
  addons              = {}
  deletion_protection = false
}

module "gpu" {
  source = "../../modules/eks-gpu"

  name               = "ml-moto"
  cluster_name       = module.cluster.name
  kubernetes_version = module.cluster.kubernetes_version
  subnet_ids         = module.network.private_subnet_ids

  pools = {
    inference = {
      instance_types = ["g5.xlarge"]
      min_size       = 1
      max_size       = 3
    }
  }
}
