variable "endpoint" {
  description = "URL of a moto server, which answers for AWS' API."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^http://(127\\.0\\.0\\.1|localhost):[0-9]+$", var.endpoint))
    error_message = "The endpoint is on this machine (http://127.0.0.1:<port>): this example never talks to AWS."
  }
}
