package main

import rego.v1

test_a_gpu_pool_without_the_taint_is_refused if {
	found := denials(`
		resource "aws_eks_node_group" "pool" {
		  scaling_config { max_size = 2 }
		  taint {
		    key    = "dedicated"
		    effect = "NO_SCHEDULE"
		  }
		}
	`)
	count(found) == 1
	some message in found
	contains(message, "nvidia.com/gpu")
}

test_the_taint_must_keep_pods_off if {
	count(denials(`
		resource "aws_eks_node_group" "pool" {
		  scaling_config { max_size = 2 }
		  taint {
		    key    = "nvidia.com/gpu"
		    effect = "PREFER_NO_SCHEDULE"
		  }
		}
	`)) == 1
}

test_a_pool_without_a_bound_is_refused if {
	found := denials(`
		resource "aws_eks_node_group" "pool" {
		  taint {
		    key    = "nvidia.com/gpu"
		    effect = "NO_SCHEDULE"
		  }
		}
	`)
	found == {"aws_eks_node_group.pool has no max_size: nothing bounds its cost"}
}

test_a_gke_pool_with_gpus_needs_the_taint_and_hides_metadata if {
	count(denials(`
		resource "google_container_node_pool" "pool" {
		  autoscaling { total_max_node_count = 2 }
		  node_config {
		    guest_accelerator {
		      type  = "nvidia-l4"
		      count = 1
		    }
		  }
		}
	`)) == 2
}

test_a_gke_pool_without_gpus_needs_no_taint if {
	denials(`
		resource "google_container_node_pool" "system" {
		  node_count = 2
		  node_config {
		    workload_metadata_config { mode = "GKE_METADATA" }
		  }
		}
	`) == set()
}

test_a_launch_template_requires_imdsv2_and_encryption if {
	count(denials(`
		resource "aws_launch_template" "pool" {
		  block_device_mappings {
		    ebs { volume_size = 100 }
		  }
		}
	`)) == 2
	denials(`
		resource "aws_launch_template" "pool" {
		  block_device_mappings {
		    ebs { encrypted = true }
		  }
		  metadata_options { http_tokens = "required" }
		}
	`) == set()
}
