output "training_run" {
  value = provider::mlplatform::gpu_hours_cost("h100-80gb", 64, 72)
}
