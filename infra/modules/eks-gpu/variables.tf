variable "name" {
  description = "Prefix of the node groups' names."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "A name has 3 to 32 lower-case letters, digits and hyphens, and starts with a letter."
  }
}

variable "cluster_name" {
  description = "Name of the EKS cluster: the output of the cluster module, so that nodes wait for it."
  type        = string
  nullable    = false
}

variable "kubernetes_version" {
  description = "Kubernetes version of the nodes: the output of the cluster module, so that nodes follow the control plane and never lead it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.kubernetes_version))
    error_message = "Write the version as major.minor, for example \"1.35\"."
  }
}

variable "subnet_ids" {
  description = "Private subnets by availability zone, as the network module puts them out."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "Nodes need at least one subnet."
  }
}

variable "pools" {
  description = <<-EOT
    GPU node pools by name.
    - instance_types: of one size, so that every node of the pool carries as many GPUs; Spot takes the first that is to be had.
    - min_size, max_size: bounds for the autoscaler; min_size 0 costs nothing while no job waits.
    - zones: where its nodes may run (null: everywhere). Training that talks over the network wants one zone.
    - capacity_type: ON_DEMAND, SPOT (inference and jobs with checkpoints) or CAPACITY_BLOCK (reserved GPUs).
    - capacity_reservation_id: the reservation or capacity block to use.
    - disk_gib: root volume, GiB; images with CUDA and weights are large.
    - labels: for node selectors. - taints: beside `nvidia.com/gpu=true:NoSchedule`, which every pool has.
  EOT
  type = map(object({
    instance_types          = list(string)
    min_size                = optional(number, 0)
    max_size                = number
    zones                   = optional(set(string))
    capacity_type           = optional(string, "ON_DEMAND")
    capacity_reservation_id = optional(string)
    disk_gib                = optional(number, 200)
    labels                  = optional(map(string), {})
    taints                  = optional(map(object({ value = string, effect = string })), {})
  }))
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.pools) : can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", name))])
    error_message = "A pool's name has 2 to 20 lower-case letters, digits and hyphens, and starts with a letter."
  }

  validation {
    condition     = alltrue(flatten([for pool in values(var.pools) : [for type in pool.instance_types : can(regex("^(g4dn|g5|g6|g6e|g7e|gr6|p4d|p4de|p5|p5e|p5en|p6-b200|p6-b300)\\.", type))]]))
    error_message = "The pools' image is for NVIDIA GPUs on x86-64: families g4dn, g5, g6, g6e, g7e, gr6, p4d, p4de, p5, p5e, p5en, p6-b200, p6-b300."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : length(pool.instance_types) > 0])
    error_message = "A pool names one instance type at least."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : pool.min_size >= 0 && pool.min_size <= pool.max_size && pool.max_size >= 1 && pool.max_size <= 100])
    error_message = "0 ≤ min_size ≤ max_size ≤ 100, and max_size is 1 at least."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : contains(["ON_DEMAND", "SPOT", "CAPACITY_BLOCK"], pool.capacity_type)])
    error_message = "capacity_type is ON_DEMAND, SPOT or CAPACITY_BLOCK."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : pool.capacity_type != "CAPACITY_BLOCK" || pool.capacity_reservation_id != null])
    error_message = "A pool with CAPACITY_BLOCK names its capacity_reservation_id."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : pool.zones == null ? true : length(setsubtract(pool.zones, keys(var.subnet_ids))) == 0 && length(pool.zones) > 0])
    error_message = "A pool's zones are among those of subnet_ids."
  }

  validation {
    condition     = alltrue(flatten([for pool in values(var.pools) : [for taint in values(pool.taints) : contains(["NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE"], taint.effect)]]))
    error_message = "A taint's effect is NO_SCHEDULE, NO_EXECUTE or PREFER_NO_SCHEDULE."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : pool.disk_gib >= 100])
    error_message = "disk_gib is 100 at least: the GPU image and CUDA take about 40 GiB of it."
  }
}

variable "tags" {
  description = "Tags for every resource and for the instances, beside the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}
