variable "cidr" {
  validation {
    condition     = length(regexall("/16$", var.cidr)) == 1
    error_message = "cidr must end with /16."
  }
}

variable "zones" {}

locals {
  parts = cidrsubnets(var.cidr, [for zone in var.zones : 4]...)
}

resource "terraform_data" "subnet" {
  for_each         = toset(var.zones)
  input            = local.parts[index(var.zones, each.key)]
  triggers_replace = [var.cidr]
}

output "subnets" {
  value = { for zone in var.zones : zone => terraform_data.subnet[zone].output }
}
