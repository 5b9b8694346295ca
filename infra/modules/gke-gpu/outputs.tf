output "node_pool_names" {
  description = "Names of the node pools by pool."
  value       = { for pool, group in google_container_node_pool.pool : pool => group.name }
}

output "instance_group_urls" {
  description = "URLs of the managed instance groups by pool, one for each zone: for alarms."
  value       = { for pool, group in google_container_node_pool.pool : pool => group.managed_instance_group_urls }
}
