# With mocks: what the module plans, without an account. `terraform test` in this module's folder.
mock_provider "google" {}

variables {
  project_id      = "ml-dev"
  cluster_id      = "projects/ml-dev/locations/europe-west4/clusters/ml-dev"
  service_account = "ml-dev-gke@ml-dev.iam.gserviceaccount.com"
  pools = {
    inference = {
      machine_type = "g2-standard-8"
      accelerator  = "nvidia-l4"
      gpus         = 1
      zones        = ["europe-west4-a", "europe-west4-b"]
      min_size     = 1
      max_size     = 8
      spot         = true
      shared_by    = 4
    }
    training = {
      machine_type = "a3-highgpu-8g"
      accelerator  = "nvidia-h100-80gb"
      gpus         = 8
      zones        = ["europe-west4-b"]
      max_size     = 4
      labels       = { workload = "training" }
    }
  }
}

run "every_pool_is_closed_to_pods_without_a_gpu" {
  command = plan

  assert {
    condition = alltrue([
      for pool in google_container_node_pool.pool : contains([for taint in pool.node_config[0].taint : "${taint.key}:${taint.effect}"], "nvidia.com/gpu:NO_SCHEDULE")
    ])
    error_message = "A pool without the GPU taint fills with pods that need none."
  }
}

run "a_pool_has_the_gpus_it_names" {
  command = plan

  assert {
    condition     = google_container_node_pool.pool["training"].node_config[0].guest_accelerator[0].count == 8
    error_message = "Eight GPUs on each training node."
  }

  assert {
    condition     = google_container_node_pool.pool["inference"].node_config[0].guest_accelerator[0].gpu_sharing_config[0].max_shared_clients_per_gpu == 4
    error_message = "Four pods share an inference GPU."
  }

  assert {
    condition     = length(google_container_node_pool.pool["training"].node_config[0].guest_accelerator[0].gpu_sharing_config) == 0
    error_message = "Training has whole GPUs."
  }
}

run "bounds_hold_for_the_whole_pool" {
  command = plan

  assert {
    condition     = google_container_node_pool.pool["inference"].autoscaling[0].total_max_node_count == 8
    error_message = "max_size counts nodes of all zones together."
  }
}

run "instances_are_hardened" {
  command = plan

  assert {
    condition = alltrue([
      for pool in google_container_node_pool.pool : pool.node_config[0].shielded_instance_config[0].enable_secure_boot && pool.node_config[0].workload_metadata_config[0].mode == "GKE_METADATA"
    ])
    error_message = "Nodes boot what is signed, and hide their credentials from pods."
  }
}

run "pools_are_named_in_the_outputs" {
  command = apply

  assert {
    condition     = keys(output.node_pool_names) == ["inference", "training"]
    error_message = "One node pool for each entry, by its name."
  }
}

run "the_default_account_is_refused" {
  command = plan

  variables {
    service_account = "123456789012-compute@developer.gserviceaccount.com"
  }

  expect_failures = [var.service_account]
}

run "shared_training_is_refused" {
  command = plan

  variables {
    pools = {
      training = {
        machine_type = "g2-standard-8", accelerator = "nvidia-l4", gpus = 1, zones = ["europe-west4-a"], max_size = 2
        shared_by    = 2, labels = { workload = "training" }
      }
    }
  }

  expect_failures = [var.pools]
}

run "three_gpus_are_refused" {
  command = plan

  variables {
    pools = { odd = { machine_type = "n1-standard-8", accelerator = "nvidia-tesla-t4", gpus = 3, zones = ["europe-west4-a"], max_size = 2 } }
  }

  expect_failures = [var.pools]
}
