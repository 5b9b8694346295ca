variable "project_id" {
  description = "Id of the Google Cloud project."
  type        = string
  nullable    = false
}

variable "name" {
  description = "Name of the cluster."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,38}[a-z0-9]$", var.name))
    error_message = "A cluster's name has 3 to 40 lower-case letters, digits and hyphens, and starts with a letter."
  }
}

variable "region" {
  description = "Region of the cluster: its control plane runs in three zones of it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "Write a region such as europe-west4, not a zone."
  }
}

variable "network_id" {
  description = "Id of the network."
  type        = string
  nullable    = false
}

variable "subnetwork_id" {
  description = "Id of the nodes' subnetwork."
  type        = string
  nullable    = false
}

variable "pod_range_name" {
  description = "Name of the subnetwork's secondary range for pods."
  type        = string
  nullable    = false
}

variable "service_range_name" {
  description = "Name of the subnetwork's secondary range for services."
  type        = string
  nullable    = false
}

variable "release_channel" {
  description = "GKE's release channel: RAPID, REGULAR, STABLE or EXTENDED. GKE upgrades within it."
  type        = string
  default     = "REGULAR"
  nullable    = false

  validation {
    condition     = contains(["RAPID", "REGULAR", "STABLE", "EXTENDED"], var.release_channel)
    error_message = "The release channel is RAPID, REGULAR, STABLE or EXTENDED."
  }
}

variable "authorized_networks" {
  description = "Ranges that may reach the API server, by a name of your choice. Empty: only the cluster's own network."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for cidr in values(var.authorized_networks) : can(cidrnetmask(cidr))])
    error_message = "Each entry is an IPv4 range in CIDR notation."
  }

  validation {
    condition     = alltrue([for cidr in values(var.authorized_networks) : try(tonumber(split("/", cidr)[1]) >= 8, true)])
    error_message = "A range wider than /8 is the open internet: name your offices' and runners' addresses."
  }
}

variable "control_plane_range" {
  description = "IPv4 range of the control plane, a /28 that nothing else uses."
  type        = string
  default     = "172.16.0.0/28"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.control_plane_range)) && endswith(var.control_plane_range, "/28")
    error_message = "The control plane's range is a /28."
  }
}

variable "security_group" {
  description = "Google Group for RBAC, gke-security-groups@<your domain>; null where you have none."
  type        = string
  default     = null

  validation {
    condition     = var.security_group == null ? true : startswith(var.security_group, "gke-security-groups@")
    error_message = "GKE asks for a group named gke-security-groups@<your domain>."
  }
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to destroy the cluster. Switch it off in a change of its own before a destroy."
  type        = bool
  default     = true
  nullable    = false
}

variable "labels" {
  description = "Labels for every resource that takes them."
  type        = map(string)
  default     = {}
  nullable    = false
}
