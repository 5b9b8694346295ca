variables {
  zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
}

run "parts" {
  variables {
    cidr = "10.1.0.0/16"
  }
  assert {
    condition     = length([for zone in var.zones : zone if can(output.subnets[zone])]) == 3
    error_message = "A zone has no part."
  }
  assert {
    condition     = length(distinct([for zone, cidr in output.subnets : cidrhost(cidr, 0)])) == 3
    error_message = "Parts overlap."
  }
  assert {
    condition     = alltrue([for cidr in values(output.subnets) : startswith(cidr, "10.1.")])
    error_message = "A part is outside of the range."
  }
}

run "refuses_24" {
  command         = plan
  expect_failures = [var.cidr]
  variables {
    cidr = "10.1.0.0/24"
  }
}
