data "google_project" "this" {
  project_id = var.project_id
}

resource "google_kms_key_ring" "this" {
  project  = var.project_id
  name     = var.name
  location = var.region
}

# Encrypts the cluster's Secrets in etcd. The cluster's deletion protection holds it too: it is destroyed after the cluster.
resource "google_kms_crypto_key" "secrets" {
  #checkov:skip=CKV_GCP_82:prevent_destroy cannot be switched off by a caller, nor by `terraform test`, which tears down
  name            = "secrets"
  key_ring        = google_kms_key_ring.this.id
  rotation_period = "7776000s" # 90 days

  labels = var.labels
}

resource "google_kms_crypto_key_iam_member" "gke" {
  crypto_key_id = google_kms_crypto_key.secrets.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:service-${data.google_project.this.number}@container-engine-robot.iam.gserviceaccount.com"
}

resource "google_service_account" "node" {
  project      = var.project_id
  account_id   = "${substr(var.name, 0, 22)}-gke"
  display_name = "Nodes of GKE cluster ${var.name}"
}

# What GKE's documentation names as the least that nodes need: logs, metrics, images.
resource "google_project_iam_member" "node" {
  for_each = toset(["roles/container.defaultNodeServiceAccount", "roles/artifactregistry.reader"])

  project = var.project_id
  role    = each.key
  member  = google_service_account.node.member
}

resource "google_container_cluster" "this" {
  #checkov:skip=CKV_GCP_12:Dataplane V2 enforces network policies; the addon that the check looks for is Calico's
  #checkov:skip=CKV_GCP_21:resource_labels are set; which ones is the caller's choice
  #checkov:skip=CKV_GCP_69:there is no default pool; the metadata server is set for each pool of gke-gpu
  project             = var.project_id
  name                = var.name
  location            = var.region
  network             = var.network_id
  subnetwork          = var.subnetwork_id
  deletion_protection = var.deletion_protection
  resource_labels     = var.labels

  # Pools are resources of their own, so that one can change without the cluster.
  remove_default_node_pool = true
  initial_node_count       = 1

  datapath_provider           = "ADVANCED_DATAPATH" # Cilium: network policies are enforced
  enable_intranode_visibility = true
  enable_shielded_nodes       = true
  networking_mode             = "VPC_NATIVE"

  release_channel {
    channel = var.release_channel
  }

  ip_allocation_policy {
    cluster_secondary_range_name  = var.pod_range_name
    services_secondary_range_name = var.service_range_name
  }

  private_cluster_config {
    enable_private_nodes    = true
    enable_private_endpoint = length(var.authorized_networks) == 0
    master_ipv4_cidr_block  = var.control_plane_range
  }

  master_authorized_networks_config {
    gcp_public_cidrs_access_enabled = false

    dynamic "cidr_blocks" {
      for_each = var.authorized_networks

      content {
        display_name = cidr_blocks.key
        cidr_block   = cidr_blocks.value
      }
    }
  }

  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }

  dynamic "authenticator_groups_config" {
    for_each = var.security_group[*]

    content {
      security_group = authenticator_groups_config.value
    }
  }

  # Pods get Google identities of their own; nodes' credentials stay with the nodes.
  workload_identity_config {
    workload_pool = "${var.project_id}.svc.id.goog"
  }

  database_encryption {
    state    = "ENCRYPTED"
    key_name = google_kms_crypto_key.secrets.id
  }

  binary_authorization {
    evaluation_mode = "PROJECT_SINGLETON_POLICY_ENFORCE"
  }

  security_posture_config {
    mode               = "BASIC"
    vulnerability_mode = "VULNERABILITY_DISABLED"
  }

  logging_config {
    enable_components = ["SYSTEM_COMPONENTS", "WORKLOADS", "APISERVER", "CONTROLLER_MANAGER", "SCHEDULER"]
  }

  monitoring_config {
    # DCGM: utilisation, memory, temperature and errors of each GPU.
    enable_components = ["SYSTEM_COMPONENTS", "DCGM"]

    managed_prometheus {
      enabled = true
    }
  }

  addons_config {
    gcs_fuse_csi_driver_config {
      enabled = true
    }

    gce_persistent_disk_csi_driver_config {
      enabled = true
    }
  }

  maintenance_policy {
    recurring_window {
      start_time = "2026-01-03T01:00:00Z" # Saturday and Sunday nights
      end_time   = "2026-01-03T07:00:00Z"
      recurrence = "FREQ=WEEKLY;BYDAY=SA,SU"
    }
  }

  # The default pool lives for minutes, but it too runs with the nodes' own account.
  node_config {
    service_account = google_service_account.node.email

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }

  lifecycle {
    ignore_changes = [node_config, initial_node_count] # of a pool that is gone
  }

  depends_on = [google_kms_crypto_key_iam_member.gke, google_project_iam_member.node]
}
