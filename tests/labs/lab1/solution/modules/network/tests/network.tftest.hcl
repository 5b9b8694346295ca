variables {
  cidr  = "10.50.0.0/16"
  zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
}

run "each_zone_has_its_own_part" {
  assert {
    condition     = toset(keys(output.subnets)) == toset(var.zones)
    error_message = "Zones: ${join(", ", keys(output.subnets))}."
  }
  assert {
    condition     = output.subnets["eu-west-1c"] == "10.50.32.0/20"
    error_message = "The third zone has ${output.subnets["eu-west-1c"]}."
  }
  assert {
    condition     = length(distinct(values(output.subnets))) == 3
    error_message = "Two zones share a range."
  }
}

run "a_small_range_is_refused" {
  command = plan
  variables {
    cidr = "10.50.0.0/24"
  }
  expect_failures = [var.cidr]
}
