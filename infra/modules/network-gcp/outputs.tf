output "network_id" {
  description = "Id of the network."
  value       = google_compute_network.this.id
}

output "subnetwork_id" {
  description = "Id of the nodes' subnetwork."
  value       = google_compute_subnetwork.nodes.id
}

output "pod_range_name" {
  description = "Name of the secondary range for pods."
  value       = "pods"

  # Names the range only once it is there.
  depends_on = [google_compute_subnetwork.nodes]
}

output "service_range_name" {
  description = "Name of the secondary range for services."
  value       = "services"

  depends_on = [google_compute_subnetwork.nodes]
}
