variable "cidr" {
  description = "The network's range, a /16."
  type        = string

  validation {
    condition     = can(cidrsubnet(var.cidr, 4, 15)) && endswith(var.cidr, "/16")
    error_message = "cidr is a /16 such as 10.10.0.0/16."
  }
}

variable "zones" {
  description = "Zones, each of which gets a /20."
  type        = list(string)

  validation {
    condition     = length(var.zones) >= 1 && length(var.zones) <= 16 && length(distinct(var.zones)) == length(var.zones)
    error_message = "There are 1 to 16 zones, each once."
  }
}
