run "two_zones" {
  variables {
    cidr  = "10.99.0.0/16"
    zones = ["eu-west-1b", "eu-west-1a"]
  }
  assert {
    condition     = output.subnets == tomap({ eu-west-1b = "10.99.0.0/20", eu-west-1a = "10.99.16.0/20" }) || jsonencode(output.subnets) == jsonencode({ eu-west-1b = "10.99.0.0/20", eu-west-1a = "10.99.16.0/20" })
    error_message = jsonencode(output.subnets)
  }
}

run "not_a_24" {
  command = plan
  variables {
    cidr  = "10.99.0.0/24"
    zones = ["eu-west-1a"]
  }
  expect_failures = [var.cidr]
}
