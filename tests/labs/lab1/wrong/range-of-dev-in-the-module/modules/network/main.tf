resource "terraform_data" "subnet" {
  for_each = { for index, zone in var.zones : zone => cidrsubnet("10.10.0.0/16", 4, index) }
  input    = { zone = each.key, cidr = each.value }
}
