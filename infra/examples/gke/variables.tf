variable "project_id" {
  description = "Id of the Google Cloud project."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Google Cloud region."
  type        = string
  default     = "europe-west4"
  nullable    = false
}

variable "environment" {
  description = "dev, staging or prod. Only prod keeps its cluster from deletion and runs inference outside Spot."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "The environment is dev, staging or prod."
  }
}

variable "owner" {
  description = "Team that pays for it, as a label."
  type        = string
  nullable    = false
}

variable "authorized_networks" {
  description = "Ranges that may reach the API server, by a name of your choice. Empty: only the cluster's own network."
  type        = map(string)
  default     = {}
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
