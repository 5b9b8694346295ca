resource "terraform_data" "subnet" {
  for_each = { for index, zone in var.zones : zone => cidrsubnet(var.cidr, 4, 0) }
  input    = { zone = each.key, cidr = each.value }
}
