data "mlplatform_cluster_info" "here" {}

output "free_gpus" {
  value = data.mlplatform_cluster_info.here.total_gpus - data.mlplatform_cluster_info.here.requested_gpus
}
