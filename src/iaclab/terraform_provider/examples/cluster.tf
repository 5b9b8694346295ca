resource "mlplatform_cluster" "vision" {
  name         = "vision"
  namespaces   = ["vision-training", "vision-serving"]
  gpu_quota    = 16
  cpu_quota    = "64"
  memory_quota = "512Gi"
  labels       = { cost-center = "research" }
}

output "vision_kubeconfig" {
  value     = mlplatform_cluster.vision.kubeconfig
  sensitive = true
}
