variable "name" {
  description = "Name of the network; every resource carries it as a prefix."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "A name has 3 to 32 lower-case letters, digits and hyphens, and starts with a letter."
  }
}

variable "cidr_block" {
  description = "IPv4 range of the VPC, /16 to /20. Each zone takes one eighth of it for its private subnet and one 128th for its public subnet."
  type        = string
  default     = "10.0.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.cidr_block))
    error_message = "This is not an IPv4 range in CIDR notation."
  }

  validation {
    condition     = try(tonumber(split("/", var.cidr_block)[1]) >= 16 && tonumber(split("/", var.cidr_block)[1]) <= 20, false)
    error_message = "The VPC's range lies between /16 and /20: smaller ones run out of pod addresses."
  }
}

variable "availability_zones" {
  description = "Zones to spread over, two to six. EKS asks for at least two; GPU types are not offered in every zone."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.availability_zones) >= 2 && length(var.availability_zones) <= 6
    error_message = "Name two to six availability zones."
  }

  validation {
    condition     = length(distinct(var.availability_zones)) == length(var.availability_zones)
    error_message = "An availability zone is named twice."
  }
}

variable "single_nat_gateway" {
  description = "One NAT gateway for all zones: cheaper, but a zone's outage takes the others' way out with it. For environments that may stand still."
  type        = bool
  default     = false
  nullable    = false
}

variable "flow_log_retention_days" {
  description = "How long flow logs are kept, in days, one of the periods that CloudWatch Logs knows."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = contains([365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.flow_log_retention_days)
    error_message = "CloudWatch Logs keeps logs for 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days; audits ask for a year at least."
  }
}

variable "tags" {
  description = "Tags for every resource, beside the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}
