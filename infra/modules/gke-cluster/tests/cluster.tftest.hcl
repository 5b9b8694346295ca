# With mocks: what the module plans, without an account. `terraform test` in this module's folder.
mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
  mock_resource "google_kms_key_ring" {
    defaults = { id = "projects/ml-dev/locations/europe-west4/keyRings/ml-dev" }
  }
  mock_resource "google_kms_crypto_key" {
    defaults = { id = "projects/ml-dev/locations/europe-west4/keyRings/ml-dev/cryptoKeys/secrets" }
  }
  mock_resource "google_service_account" {
    defaults = { email = "ml-dev-gke@ml-dev.iam.gserviceaccount.com", member = "serviceAccount:ml-dev-gke@ml-dev.iam.gserviceaccount.com" }
  }
  mock_resource "google_container_cluster" {
    defaults = { id = "projects/ml-dev/locations/europe-west4/clusters/ml-dev", endpoint = "172.16.0.2" }
  }
}

variables {
  project_id         = "ml-dev"
  name               = "ml-dev"
  region             = "europe-west4"
  network_id         = "projects/ml-dev/global/networks/ml-dev"
  subnetwork_id      = "projects/ml-dev/regions/europe-west4/subnetworks/ml-dev-nodes"
  pod_range_name     = "pods"
  service_range_name = "services"
}

run "everything_is_private_by_default" {
  command = plan

  assert {
    condition     = google_container_cluster.this.private_cluster_config[0].enable_private_nodes && google_container_cluster.this.private_cluster_config[0].enable_private_endpoint
    error_message = "Neither nodes nor the API server have a public address unless ranges are named."
  }

  assert {
    condition     = google_container_cluster.this.deletion_protection
    error_message = "A cluster is protected unless someone says otherwise."
  }

  assert {
    condition     = google_container_cluster.this.workload_identity_config[0].workload_pool == "ml-dev.svc.id.goog"
    error_message = "Pods have identities of their own."
  }
}

run "secrets_are_encrypted_with_our_key" {
  command = apply

  assert {
    condition     = google_container_cluster.this.database_encryption[0].key_name == "projects/ml-dev/locations/europe-west4/keyRings/ml-dev/cryptoKeys/secrets"
    error_message = "The cluster's Secrets are encrypted with this module's key."
  }

  assert {
    condition     = google_kms_crypto_key_iam_member.gke.member == "serviceAccount:service-123456789012@container-engine-robot.iam.gserviceaccount.com"
    error_message = "GKE's service agent must be able to use the key."
  }

  assert {
    condition     = output.node_service_account == "ml-dev-gke@ml-dev.iam.gserviceaccount.com"
    error_message = "Nodes run with an account of their own, not with the project's default."
  }
}

run "offices_reach_the_endpoint" {
  command = plan

  variables {
    authorized_networks = { office = "203.0.113.0/24" }
  }

  assert {
    condition     = one(google_container_cluster.this.master_authorized_networks_config[0].cidr_blocks).cidr_block == "203.0.113.0/24"
    error_message = "The named range, and no other, reaches the API server."
  }

  assert {
    condition     = google_container_cluster.this.private_cluster_config[0].enable_private_endpoint == false
    error_message = "A named range needs the public endpoint."
  }
}

run "the_open_internet_is_refused" {
  command = plan

  variables {
    authorized_networks = { everybody = "0.0.0.0/0" }
  }

  expect_failures = [var.authorized_networks]
}

run "a_group_of_another_name_is_refused" {
  command = plan

  variables {
    security_group = "platform@example.com"
  }

  expect_failures = [var.security_group]
}
