project_id     = "example-ml-dev"
environment    = "dev"
owner          = "ml-platform"
training_nodes = 1
