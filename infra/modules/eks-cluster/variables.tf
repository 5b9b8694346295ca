variable "name" {
  description = "Name of the cluster."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,38}[a-z0-9]$", var.name))
    error_message = "A cluster's name has 3 to 40 lower-case letters, digits and hyphens, and starts with a letter."
  }
}

variable "kubernetes_version" {
  description = "Kubernetes version as major.minor. It has no default: an upgrade is a decision, not a side effect of a newer module."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.kubernetes_version))
    error_message = "Write the version as major.minor, for example \"1.35\"."
  }
}

variable "subnet_ids" {
  description = "Private subnets for the control plane's network interfaces, in two zones at least."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "EKS needs subnets in two zones at least."
  }
}

variable "public_access_cidrs" {
  description = "Ranges that may reach the API server from outside the VPC. Empty: the endpoint is private."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.public_access_cidrs : can(cidrnetmask(cidr))])
    error_message = "Each entry is an IPv4 range in CIDR notation."
  }

  validation {
    condition     = alltrue([for cidr in var.public_access_cidrs : try(tonumber(split("/", cidr)[1]) >= 8, true)])
    error_message = "A range wider than /8 is the open internet: name your offices' and runners' addresses."
  }
}

variable "administrators" {
  description = "ARNs of the IAM principals that administer the cluster, by a name of your choice. Whoever creates the cluster gets no rights by that."
  type        = map(string)
  nullable    = false

  validation {
    condition     = alltrue([for arn in values(var.administrators) : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/.+$", arn))])
    error_message = "Each administrator is the ARN of an IAM role or user."
  }
}

variable "addons" {
  description = "EKS add-ons by name. `version`: pinned, or null for EKS's default; `configuration`: JSON for the add-on."
  type = map(object({
    version       = optional(string)
    configuration = optional(string)
  }))
  default = {
    coredns                = {}
    eks-pod-identity-agent = {}
    kube-proxy             = {}
    vpc-cni                = {}
  }
  nullable = false

  validation {
    condition     = alltrue([for addon in values(var.addons) : addon.configuration == null || can(jsondecode(addon.configuration))])
    error_message = "An add-on's configuration is a JSON document."
  }
}

variable "log_retention_days" {
  description = "How long the control plane's logs are kept, in days, one of the periods that CloudWatch Logs knows."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = contains([365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch Logs keeps logs for 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days; audits ask for a year at least."
  }
}

variable "deletion_protection" {
  description = "Whether EKS refuses to delete the cluster. Switch it off in a change of its own before a destroy."
  type        = bool
  default     = true
  nullable    = false
}

variable "tags" {
  description = "Tags for every resource, beside the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}
