run "there_are_subnets" {
  variables {
    cidr  = "10.50.0.0/16"
    zones = ["eu-west-1a", "eu-west-1b"]
  }
  assert {
    condition     = length(output.subnets) > 0
    error_message = "There are no subnets."
  }
}
