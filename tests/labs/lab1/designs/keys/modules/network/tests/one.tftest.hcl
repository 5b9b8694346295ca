variables {
  cidr  = "172.20.0.0/16"
  zones = ["eu-west-1c"]
}

run "one_zone" {
  assert {
    condition     = output.subnets["eu-west-1c"] == "172.20.0.0/20"
    error_message = "It is ${output.subnets["eu-west-1c"]}."
  }
}
