output "cluster_name" {
  description = "Name of the cluster."
  value       = module.cluster.name
}

output "endpoint" {
  description = "URL of the API server, as moto makes it up."
  value       = module.cluster.endpoint
}

output "node_groups" {
  description = "Names of the GPU node groups by pool."
  value       = module.gpu.node_group_names
}
