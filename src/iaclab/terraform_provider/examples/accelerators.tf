data "mlplatform_accelerators" "large" {
  min_memory_gb = 80
}

output "cheapest_large" {
  value = data.mlplatform_accelerators.large.names[0]
}
