# With mocks: what the module plans, without an account. `terraform test` in this module's folder.
mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/ml-dev-gpu" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-00000000000000000", latest_version = 1 }
  }
}

variables {
  name               = "ml-dev"
  cluster_name       = "ml-dev"
  kubernetes_version = "1.35"
  subnet_ids         = { "eu-central-1a" = "subnet-0a", "eu-central-1b" = "subnet-0b" }
  pools = {
    inference = {
      instance_types = ["g6.2xlarge", "g5.2xlarge"]
      capacity_type  = "SPOT"
      min_size       = 1
      max_size       = 8
    }
    training = {
      instance_types = ["p5.48xlarge"]
      max_size       = 4
      zones          = ["eu-central-1b"]
      labels         = { workload = "training" }
      taints         = { dedicated = { value = "training", effect = "NO_SCHEDULE" } }
    }
  }
}

run "every_pool_is_closed_to_pods_without_a_gpu" {
  command = plan

  assert {
    condition = alltrue([
      for group in aws_eks_node_group.pool : contains([for taint in group.taint : "${taint.key}=${taint.value}:${taint.effect}"], "nvidia.com/gpu=true:NO_SCHEDULE")
    ])
    error_message = "A pool without the GPU taint fills with pods that need none."
  }

  assert {
    condition     = contains([for taint in aws_eks_node_group.pool["training"].taint : taint.key], "dedicated")
    error_message = "A pool's own taints stand beside the GPU taint."
  }
}

run "a_pool_keeps_to_its_zones" {
  command = plan

  assert {
    condition     = aws_eks_node_group.pool["training"].subnet_ids == toset(["subnet-0b"])
    error_message = "Training runs in the one zone that it names."
  }

  assert {
    condition     = length(aws_eks_node_group.pool["inference"].subnet_ids) == 2
    error_message = "A pool that names no zone runs in all."
  }
}

run "an_idle_pool_is_empty" {
  command = plan

  assert {
    condition     = aws_eks_node_group.pool["training"].scaling_config[0].desired_size == 0
    error_message = "Without min_size a pool starts with no node."
  }
}

run "instances_are_hardened" {
  command = plan

  assert {
    condition     = alltrue([for template in aws_launch_template.pool : template.metadata_options[0].http_tokens == "required"])
    error_message = "IMDSv2 is required."
  }

  assert {
    condition     = alltrue([for template in aws_launch_template.pool : tobool(template.block_device_mappings[0].ebs[0].encrypted)])
    error_message = "Root volumes are encrypted."
  }
}

run "pools_come_and_go_without_touching_others" {
  command = apply

  assert {
    condition     = keys(output.node_group_names) == ["inference", "training"]
    error_message = "One node group for each pool, by its name."
  }

  assert {
    condition     = output.node_role_arn == "arn:aws:iam::111122223333:role/ml-dev-gpu"
    error_message = "All pools share the module's role."
  }
}

run "a_reserved_block_names_its_reservation_and_type_in_the_template" {
  command = plan

  variables {
    pools = { block = { instance_types = ["p5.48xlarge"], max_size = 2, capacity_type = "CAPACITY_BLOCK", capacity_reservation_id = "cr-00000000000000000" } }
  }

  assert {
    condition     = aws_launch_template.pool["block"].instance_type == "p5.48xlarge"
    error_message = "For a capacity block EKS reads the type from the launch template."
  }

  assert {
    condition     = aws_launch_template.pool["block"].capacity_reservation_specification[0].capacity_reservation_target[0].capacity_reservation_id == "cr-00000000000000000"
    error_message = "The template targets the reservation."
  }
}

run "a_block_without_a_reservation_is_refused" {
  command = plan

  variables {
    pools = { block = { instance_types = ["p5.48xlarge"], max_size = 2, capacity_type = "CAPACITY_BLOCK" } }
  }

  expect_failures = [var.pools]
}

run "machines_without_a_gpu_are_refused" {
  command = plan

  variables {
    pools = { cpu = { instance_types = ["m7i.xlarge"], max_size = 2 } }
  }

  expect_failures = [var.pools]
}

run "a_zone_without_a_subnet_is_refused" {
  command = plan

  variables {
    pools = { far = { instance_types = ["g6.xlarge"], max_size = 2, zones = ["us-east-1a"] } }
  }

  expect_failures = [var.pools]
}

run "bounds_the_wrong_way_round_are_refused" {
  command = plan

  variables {
    pools = { odd = { instance_types = ["g6.xlarge"], min_size = 3, max_size = 2 } }
  }

  expect_failures = [var.pools]
}
