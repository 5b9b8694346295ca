variable "cidr" {
  type = string
  validation {
    condition     = tonumber(split("/", var.cidr)[1]) == 16
    error_message = "Not a /16: ${var.cidr}."
  }
}

variable "zones" {
  type = list(string)
}

resource "terraform_data" "part" {
  count = length(var.zones)
  input = cidrsubnet(var.cidr, 4, count.index)
}

output "subnets" {
  value = zipmap(var.zones, terraform_data.part[*].output)
}
