output "cluster_name" {
  description = "Name of the cluster."
  value       = module.cluster.name
}

output "kubeconfig_command" {
  description = "Command that writes a kubeconfig for the cluster."
  value       = "gcloud container clusters get-credentials ${module.cluster.name} --location ${module.cluster.location} --project ${var.project_id}"
}

output "node_pools" {
  description = "Names of the GPU node pools by pool."
  value       = module.gpu.node_pool_names
}
