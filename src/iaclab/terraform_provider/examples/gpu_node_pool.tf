resource "mlplatform_gpu_node_pool" "training" {
  name        = "training"
  accelerator = "a100-80gb"
  node_count  = 2
  zones       = ["eu-west-1a", "eu-west-1b"]
  labels      = { workload = "training" }

  taint {
    key    = "workload"
    value  = "training"
    effect = "NoSchedule"
  }

  timeouts {
    delete = "5m"
  }
}
