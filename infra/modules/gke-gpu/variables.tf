variable "project_id" {
  description = "Id of the Google Cloud project."
  type        = string
  nullable    = false
}

variable "cluster_id" {
  description = "Id of the GKE cluster: the output of the cluster module, so that nodes wait for it."
  type        = string
  nullable    = false
}

variable "service_account" {
  description = "E-mail address of the nodes' service account. The project's default account is refused: it can edit the project."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*@[a-z0-9.-]+\\.iam\\.gserviceaccount\\.com$", var.service_account))
    error_message = "Name a service account of your own (…@….iam.gserviceaccount.com)."
  }
}

variable "pools" {
  description = <<-EOT
    GPU node pools by name.
    - machine_type: for example g2-standard-8 (with nvidia-l4) or a3-highgpu-8g (with nvidia-h100-80gb).
    - accelerator, gpus: type and count on each node, as the machine type has them.
    - zones: the zones of the region that offer them.
    - min_size, max_size: nodes in the whole pool, bounds for the autoscaler; min_size 0 costs nothing while no job waits.
    - spot: for inference and jobs with checkpoints.
    - driver: DEFAULT or LATEST, the driver that GKE installs.
    - shared_by: how many pods share one GPU by time slices; 1 is a whole GPU for each.
    - disk_gib: boot disk, GiB. - labels: for node selectors.
    - taints: by key, beside `nvidia.com/gpu=present:NoSchedule`, which every pool has.
  EOT
  type = map(object({
    machine_type = string
    accelerator  = string
    gpus         = number
    zones        = set(string)
    min_size     = optional(number, 0)
    max_size     = number
    spot         = optional(bool, false)
    driver       = optional(string, "DEFAULT")
    shared_by    = optional(number, 1)
    disk_gib     = optional(number, 200)
    labels       = optional(map(string), {})
    taints       = optional(map(object({ value = string, effect = string })), {})
  }))
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.pools) : can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", name))])
    error_message = "A pool's name has 2 to 20 lower-case letters, digits and hyphens, and starts with a letter."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : startswith(pool.accelerator, "nvidia-")])
    error_message = "An accelerator is named as GKE names it, for example nvidia-l4."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : contains([1, 2, 4, 8, 16], pool.gpus)])
    error_message = "A node carries 1, 2, 4, 8 or 16 GPUs."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : pool.min_size >= 0 && pool.min_size <= pool.max_size && pool.max_size >= 1 && pool.max_size <= 100])
    error_message = "0 ≤ min_size ≤ max_size ≤ 100, and max_size is 1 at least."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : length(pool.zones) > 0])
    error_message = "A pool names its zones: most GPU types are offered in some zones of a region alone."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : contains(["DEFAULT", "LATEST"], pool.driver)])
    error_message = "driver is DEFAULT or LATEST."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : pool.shared_by >= 1 && pool.shared_by <= 48])
    error_message = "One to 48 pods share a GPU."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : pool.shared_by == 1 || !strcontains(lookup(pool.labels, "workload", ""), "training")])
    error_message = "Training on a shared GPU starves its neighbours: shared_by is 1 where the label workload says training."
  }

  validation {
    condition     = alltrue(flatten([for pool in values(var.pools) : [for taint in values(pool.taints) : contains(["NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE"], taint.effect)]]))
    error_message = "A taint's effect is NO_SCHEDULE, NO_EXECUTE or PREFER_NO_SCHEDULE."
  }

  validation {
    condition     = alltrue([for pool in values(var.pools) : pool.disk_gib >= 100])
    error_message = "disk_gib is 100 at least: images with CUDA and weights are large."
  }
}

variable "labels" {
  description = "Labels for the pools' machines, beside those of the cluster."
  type        = map(string)
  default     = {}
  nullable    = false
}
