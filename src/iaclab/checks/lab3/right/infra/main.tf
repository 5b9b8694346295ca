resource "mlplatform_cluster" "team" {
  name       = var.team
  namespaces = ["${var.team}-train", "${var.team}-serve"]
  gpu_quota  = var.nodes * var.gpus_per_node
}

resource "mlplatform_gpu_node_pool" "train" {
  name          = "${var.team}-train"
  accelerator   = var.accelerator
  node_count    = var.nodes
  gpus_per_node = var.gpus_per_node
  labels        = { team = var.team }
}

resource "mlplatform_gpu_node_pool" "batch" {
  name          = "${var.team}-batch"
  accelerator   = "a100-80gb"
  node_count    = 2
  gpus_per_node = 8
  labels        = { team = var.team }
}

resource "mlplatform_gpu_node_pool" "serve" {
  name          = "${var.team}-serve"
  accelerator   = "l4"
  node_count    = 2
  gpus_per_node = 4
  gpu_taint     = true
  labels        = { team = var.team }
}

resource "mlplatform_model_bucket" "models" {
  name       = "${var.team}-models"
  versioning = true
  tags       = { team = var.team }
}
