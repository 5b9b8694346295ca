variable "region" {
  description = "AWS region."
  type        = string
  default     = "eu-central-1"
  nullable    = false
}

variable "availability_zones" {
  description = "Zones to use, by name: a zone that AWS opens must not change a plan. Training runs in the first."
  type        = list(string)
  default     = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  nullable    = false
}

variable "environment" {
  description = "dev, staging or prod. Only prod has a NAT gateway in each zone and keeps its cluster from deletion."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "The environment is dev, staging or prod."
  }
}

variable "owner" {
  description = "Team that pays for it, as a tag."
  type        = string
  nullable    = false
}

variable "kubernetes_version" {
  description = "Kubernetes version as major.minor."
  type        = string
  nullable    = false
}

variable "administrators" {
  description = "ARNs of the IAM principals that administer the cluster, by a name of your choice."
  type        = map(string)
  nullable    = false
}

variable "public_access_cidrs" {
  description = "Ranges that may reach the API server from outside the VPC. Empty: the endpoint is private."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "training_nodes" {
  description = "The most training nodes (8 GPUs each) that the autoscaler may start."
  type        = number
  default     = 2
  nullable    = false
}

variable "inference_nodes" {
  description = "The fewest and the most inference nodes (1 GPU each)."
  type        = object({ min = number, max = number })
  default     = { min = 1, max = 6 }
  nullable    = false
}
