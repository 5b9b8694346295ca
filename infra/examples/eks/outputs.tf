output "cluster_name" {
  description = "Name of the cluster."
  value       = module.cluster.name
}

output "kubeconfig_command" {
  description = "Command that writes a kubeconfig for the cluster."
  value       = "aws eks update-kubeconfig --region ${var.region} --name ${module.cluster.name}"
}

output "node_groups" {
  description = "Names of the GPU node groups by pool."
  value       = module.gpu.node_group_names
}
