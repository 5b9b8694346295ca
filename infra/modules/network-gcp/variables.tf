variable "project_id" {
  description = "Id of the Google Cloud project."
  type        = string
  nullable    = false
}

variable "name" {
  description = "Name of the network; every resource carries it as a prefix."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "A name has 3 to 32 lower-case letters, digits and hyphens, and starts with a letter."
  }
}

variable "region" {
  description = "Region of the subnetwork."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "Write a region such as europe-west4, not a zone."
  }
}

variable "node_range" {
  description = "IPv4 range of the nodes."
  type        = string
  default     = "10.0.0.0/20"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.node_range))
    error_message = "This is not an IPv4 range in CIDR notation."
  }
}

variable "pod_range" {
  description = "IPv4 range of the pods. GKE gives each node a /24 of it by default, so a /14 is for about 1,000 nodes."
  type        = string
  default     = "10.4.0.0/14"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.pod_range))
    error_message = "This is not an IPv4 range in CIDR notation."
  }
}

variable "service_range" {
  description = "IPv4 range of the services."
  type        = string
  default     = "10.8.0.0/20"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.service_range))
    error_message = "This is not an IPv4 range in CIDR notation."
  }
}
