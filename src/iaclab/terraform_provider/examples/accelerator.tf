data "mlplatform_accelerator" "a100" {
  name = "a100-80gb"
}

output "a100_price" {
  value = data.mlplatform_accelerator.a100.hourly_price
}
