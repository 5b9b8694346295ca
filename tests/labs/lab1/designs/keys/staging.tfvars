environment    = "staging"
net            = 20
zones          = ["eu-west-1a", "eu-west-1b"]
quota          = 8
monthly_budget = 9000
pools = {
  train = { accelerator = "a10g", node_count = 2, gpus_per_node = 4 }
  serve = { accelerator = "l4", node_count = 2, gpus_per_node = 2 }
}
