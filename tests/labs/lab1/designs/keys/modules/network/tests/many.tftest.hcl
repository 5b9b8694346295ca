variables {
  cidr  = "172.20.0.0/16"
  zones = ["z1", "z2", "z3", "z4"]
}

run "four_zones" {
  assert {
    condition     = length(toset(values(output.subnets))) == 4
    error_message = "Zones share a range."
  }
}

run "too_small" {
  command = plan
  variables {
    cidr = "172.20.0.0/24"
  }
  expect_failures = [var.cidr]
}
