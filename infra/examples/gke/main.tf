locals {
  name = "ml-${var.environment}"
  prod = var.environment == "prod"
}

module "network" {
  source = "../../modules/network-gcp"

  project_id = var.project_id
  name       = local.name
  region     = var.region
}

module "cluster" {
  source = "../../modules/gke-cluster"

  project_id          = var.project_id
  name                = local.name
  region              = var.region
  network_id          = module.network.network_id
  subnetwork_id       = module.network.subnetwork_id
  pod_range_name      = module.network.pod_range_name
  service_range_name  = module.network.service_range_name
  authorized_networks = var.authorized_networks
  deletion_protection = local.prod
}

module "gpu" {
  source = "../../modules/gke-gpu"

  project_id      = var.project_id
  cluster_id      = module.cluster.id
  service_account = module.cluster.node_service_account

  pools = {
    # One GPU a node; Spot, because a request can be sent again. Outside prod four pods share a GPU.
    inference = {
      machine_type = "g2-standard-8"
      accelerator  = "nvidia-l4"
      gpus         = 1
      zones        = ["${var.region}-a", "${var.region}-b"]
      min_size     = var.inference_nodes.min
      max_size     = var.inference_nodes.max
      spot         = !local.prod
      shared_by    = local.prod ? 1 : 4
      labels       = { workload = "inference" }
    }

    # Eight GPUs a node, in one zone: gradients cross the network at every step.
    training = {
      machine_type = "a3-highgpu-8g"
      accelerator  = "nvidia-h100-80gb"
      gpus         = 8
      zones        = ["${var.region}-b"]
      max_size     = var.training_nodes
      disk_gib     = 500
      labels       = { workload = "training" }
      taints       = { workload = { value = "training", effect = "NO_SCHEDULE" } }
    }
  }
}
