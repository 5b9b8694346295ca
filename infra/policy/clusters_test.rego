package main

import rego.v1

test_a_bare_eks_cluster_has_every_fault if {
	count(denials(`resource "aws_eks_cluster" "this" { name = "x" }`)) == 4
}

test_a_closed_eks_cluster_passes if {
	denials(`
		resource "aws_eks_cluster" "this" {
		  enabled_cluster_log_types = ["api", "audit"]
		  access_config { bootstrap_cluster_creator_admin_permissions = false }
		  encryption_config {
		    resources = ["secrets"]
		    provider { key_arn = aws_kms_key.this.arn }
		  }
		  vpc_config { endpoint_private_access = true }
		}
	`) == set()
}

test_a_bare_gke_cluster_has_every_fault if {
	count(denials(`resource "google_container_cluster" "this" { name = "x" }`)) == 4
}

test_a_closed_gke_cluster_passes if {
	denials(`
		resource "google_container_cluster" "this" {
		  remove_default_node_pool = true
		  database_encryption {
		    state    = "ENCRYPTED"
		    key_name = google_kms_crypto_key.this.id
		  }
		  private_cluster_config { enable_private_nodes = true }
		  workload_identity_config { workload_pool = "p.svc.id.goog" }
		}
	`) == set()
}

test_the_whole_internet_is_let_in_nowhere if {
	every text in [
		`resource "aws_security_group" "a" {
		  ingress { cidr_blocks = ["10.0.0.0/8", "0.0.0.0/0"] }
		}`,
		`resource "aws_vpc_security_group_ingress_rule" "b" { cidr_ipv4 = "0.0.0.0/0" }`,
		`resource "google_compute_firewall" "c" {
		  source_ranges = ["0.0.0.0/0"]
		  allow { protocol = "tcp" }
		}`,
		`resource "aws_subnet" "d" { map_public_ip_on_launch = true }`,
	] {
		count(denials(text)) == 1
	}
}

test_a_rule_that_denies_the_internet_passes if {
	denials(`
		resource "google_compute_firewall" "c" {
		  source_ranges = ["0.0.0.0/0"]
		  deny { protocol = "all" }
		}
	`) == set()
}
