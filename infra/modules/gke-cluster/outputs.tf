output "name" {
  description = "Name of the cluster, known once it is there: pass it to node pools, so that they wait for it."
  value       = google_container_cluster.this.name
}

output "id" {
  description = "Id of the cluster: projects/…/locations/…/clusters/…"
  value       = google_container_cluster.this.id
}

output "location" {
  description = "Region of the cluster."
  value       = google_container_cluster.this.location
}

output "endpoint" {
  description = "Address of the API server."
  value       = google_container_cluster.this.endpoint
}

output "certificate_authority" {
  description = "The cluster's certificate authority, base64-encoded PEM."
  value       = google_container_cluster.this.master_auth[0].cluster_ca_certificate
  sensitive   = true # the provider says so; it is no secret
}

output "node_service_account" {
  description = "E-mail address of the nodes' service account."
  value       = google_service_account.node.email
}

output "workload_pool" {
  description = "Pool of workload identities, for IAM bindings of pods."
  value       = google_container_cluster.this.workload_identity_config[0].workload_pool
}
