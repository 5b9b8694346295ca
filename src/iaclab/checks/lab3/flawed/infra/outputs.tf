output "namespaces" {
  description = "Namespaces of the team."
  value       = mlplatform_cluster.team.namespaces
}

output "gpu_quota" {
  description = "GPUs that the pods of each namespace may request together."
  value       = mlplatform_cluster.team.gpu_quota
}

output "bucket_name" {
  description = "Bucket for models."
  value       = mlplatform_model_bucket.models.name
}
