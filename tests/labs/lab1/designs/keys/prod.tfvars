environment    = "prod"
net            = 30
zones          = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
quota          = 24
monthly_budget = 70000
pools = {
  train = { accelerator = "a100-80gb", node_count = 3, gpus_per_node = 8 }
  serve = { accelerator = "l4", node_count = 3, gpus_per_node = 4 }
}
