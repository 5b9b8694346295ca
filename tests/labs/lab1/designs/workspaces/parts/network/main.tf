variable "cidr" {
  type = string
  validation {
    condition     = can(regex("^[0-9.]+/16$", var.cidr))
    error_message = "A /16."
  }
}

variable "zones" { type = list(string) }

resource "terraform_data" "subnets" {
  input = { for index, zone in var.zones : zone => cidrsubnet(var.cidr, 4, index) }
}

output "subnets" { value = terraform_data.subnets.output }
