environment    = "dev"
net            = 10
zones          = ["eu-west-1a", "eu-west-1b"]
quota          = 4
monthly_budget = 2200
pools = {
  train = { accelerator = "t4", node_count = 2, gpus_per_node = 2 }
  serve = { accelerator = "l4", node_count = 1, gpus_per_node = 1 }
}
