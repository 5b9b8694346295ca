# With mocks: how the three modules fit together. `terraform init -backend=false && terraform test`
mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
  mock_resource "google_compute_network" {
    defaults = { id = "projects/ml-dev/global/networks/ml-dev" }
  }
  mock_resource "google_compute_subnetwork" {
    defaults = { id = "projects/ml-dev/regions/europe-west4/subnetworks/ml-dev-nodes" }
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
    defaults = { id = "projects/ml-dev/locations/europe-west4/clusters/ml-dev" }
  }
}

variables {
  project_id  = "ml-dev"
  environment = "dev"
  owner       = "ml-platform"
}

run "everything_is_wired" {
  command = apply

  assert {
    condition     = output.cluster_name == "ml-dev" && keys(output.node_pools) == ["inference", "training"]
    error_message = "Both pools belong to the environment's cluster."
  }

  assert {
    condition     = output.kubeconfig_command == "gcloud container clusters get-credentials ml-dev --location europe-west4 --project ml-dev"
    error_message = "The command names cluster, region and project."
  }
}

run "an_environment_that_does_not_exist_is_refused" {
  command = plan

  variables {
    environment = "test"
  }

  expect_failures = [var.environment]
}
