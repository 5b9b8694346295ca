variable "team" {
  description = "Name of the team, a DNS label."
  type        = string
}

variable "nodes" {
  description = "Nodes of the training pool."
  type        = number
  default     = 2
  validation {
    condition     = var.nodes >= 1 && var.nodes <= 8
    error_message = "A team trains on 1 to 8 nodes, not on ${var.nodes}."
  }
}

variable "accelerator" {
  description = "Kind of GPU of the training pool."
  type        = string
  default     = "a10g"
}

variable "gpus_per_node" {
  description = "GPUs of each node of the training pool."
  type        = number
  default     = 4
}
