# With mocks: what the module plans, without an account. `terraform test` in this module's folder.
mock_provider "google" {
  mock_resource "google_compute_network" {
    defaults = { id = "projects/ml-dev/global/networks/ml-dev" }
  }
  mock_resource "google_compute_subnetwork" {
    defaults = { id = "projects/ml-dev/regions/europe-west4/subnetworks/ml-dev-nodes" }
  }
}

variables {
  project_id = "ml-dev"
  name       = "ml-dev"
  region     = "europe-west4"
}

run "nodes_are_private_and_reach_google" {
  command = plan

  assert {
    condition     = google_compute_subnetwork.nodes.private_ip_google_access
    error_message = "Without it, nodes that have no public address cannot pull images."
  }

  assert {
    condition     = google_compute_network.this.auto_create_subnetworks == false
    error_message = "A subnetwork in every region is nobody's plan."
  }
}

run "the_cluster_finds_its_ranges_by_name" {
  command = apply

  assert {
    condition     = toset(google_compute_subnetwork.nodes.secondary_ip_range[*].range_name) == toset([output.pod_range_name, output.service_range_name])
    error_message = "The outputs name the subnetwork's secondary ranges."
  }

  assert {
    condition     = output.subnetwork_id == "projects/ml-dev/regions/europe-west4/subnetworks/ml-dev-nodes"
    error_message = "The output is the nodes' subnetwork."
  }
}

run "a_zone_is_no_region" {
  command = plan

  variables {
    region = "europe-west4-a"
  }

  expect_failures = [var.region]
}

run "a_range_is_in_cidr_notation" {
  command = plan

  variables {
    pod_range = "10.4.0.0"
  }

  expect_failures = [var.pod_range]
}
