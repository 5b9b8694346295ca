mock_provider "mlplatform" {}

variables {
  team = "contract"
}

run "defaults" {
  command = plan
  assert {
    condition     = output.gpu_quota == 8
    error_message = "2 nodes of 4 GPUs by default, not ${output.gpu_quota} GPUs."
  }
  assert {
    condition     = var.accelerator == "a10g"
    error_message = "The default accelerator is ${var.accelerator}."
  }
}

run "outputs" {
  command = plan
  variables {
    nodes         = 3
    gpus_per_node = 2
  }
  assert {
    condition     = output.bucket == "contract-models"
    error_message = "The bucket is ${output.bucket}."
  }
  assert {
    condition     = toset(output.namespaces) == toset(["contract-train", "contract-serve"])
    error_message = "The namespaces are ${join(", ", output.namespaces)}."
  }
  assert {
    condition     = output.gpu_quota == 6
    error_message = "3 nodes of 2 GPUs have 6, not ${output.gpu_quota}."
  }
}

run "no_nodes" {
  command = plan
  variables {
    nodes = 0
  }
  expect_failures = [var.nodes]
}

run "one_node" {
  command = plan
  variables {
    nodes = 1
  }
}

run "eight_nodes" {
  command = plan
  variables {
    nodes = 8
  }
}

run "nine_nodes" {
  command = plan
  variables {
    nodes = 9
  }
  expect_failures = [var.nodes]
}
