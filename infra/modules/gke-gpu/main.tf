resource "google_container_node_pool" "pool" {
  for_each = var.pools

  project        = var.project_id
  cluster        = var.cluster_id
  name_prefix    = "${each.key}-"
  node_locations = each.value.zones

  # `total` bounds hold for the whole pool; the others would hold for each zone.
  autoscaling {
    total_min_node_count = each.value.min_size
    total_max_node_count = each.value.max_size
    location_policy      = each.value.spot ? "ANY" : "BALANCED"
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  # GPUs are scarce: an upgrade takes a node out before it asks for a new one.
  upgrade_settings {
    max_surge       = 0
    max_unavailable = 1
  }

  node_config {
    machine_type    = each.value.machine_type
    spot            = each.value.spot
    image_type      = "COS_CONTAINERD"
    disk_type       = "pd-balanced"
    disk_size_gb    = each.value.disk_gib
    service_account = var.service_account
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"] # IAM roles of the account decide
    labels          = merge(each.value.labels, { pool = each.key })
    resource_labels = var.labels

    metadata = {
      disable-legacy-endpoints = "true"
    }

    guest_accelerator {
      type  = each.value.accelerator
      count = each.value.gpus

      gpu_driver_installation_config {
        gpu_driver_version = each.value.driver
      }

      dynamic "gpu_sharing_config" {
        for_each = each.value.shared_by > 1 ? [each.value.shared_by] : []

        content {
          gpu_sharing_strategy       = "TIME_SHARING"
          max_shared_clients_per_gpu = gpu_sharing_config.value
        }
      }
    }

    # GKE sets this taint itself; naming it keeps the plan still.
    taint {
      key    = "nvidia.com/gpu"
      value  = "present"
      effect = "NO_SCHEDULE"
    }

    dynamic "taint" {
      for_each = each.value.taints

      content {
        key    = taint.key
        value  = taint.value.value
        effect = taint.value.effect
      }
    }

    gvnic {
      enabled = true
    }

    # Streams images: a pod starts before the last layer of a 10 GB CUDA image is here.
    gcfs_config {
      enabled = true
    }

    # GKE asks for secure boot off where it installs a driver that is not signed; its own are.
    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }

  timeouts {
    # GPU capacity is scarce: a pool waits for its first nodes.
    create = "45m"
  }

  lifecycle {
    create_before_destroy = true
    ignore_changes        = [initial_node_count]
  }
}
