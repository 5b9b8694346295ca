package main

import rego.v1

denials(text) := found if {
	found := deny with input as parse_config("hcl2", text)
}

test_a_variable_says_what_it_is if {
	denials(`variable "size" { default = 1 }`) == {
		"variable \"size\" has no type",
		"variable \"size\" has no description",
	}
}

test_a_typed_and_described_variable_passes if {
	denials(`
		variable "size" {
		  description = "How many."
		  type        = number
		}
	`) == set()
}

test_an_output_says_what_it_is if {
	denials(`output "id" { value = 1 }`) == {"output \"id\" has no description"}
}

test_a_provider_without_an_upper_bound_is_refused if {
	denials(`
		terraform {
		  required_version = "~> 1.9"
		  required_providers {
		    aws = {
		      source  = "hashicorp/aws"
		      version = ">= 6.0.0"
		    }
		  }
		}
	`) == {"provider \"aws\" has no upper bound: its next major version would be taken unseen"}
}

test_every_way_to_bound_a_version_passes if {
	every constraint in ["~> 6.0", ">= 6.0, < 7.0", "6.25.0", "= 6.25.0"] {
		bounded(constraint)
	}
	not bounded(">= 6.0")
	not bounded("!= 6.1.0")
}

test_a_module_leaves_the_provider_to_its_caller if {
	found := deny with input as parse_config("hcl2", `provider "aws" { region = "eu-central-1" }`)
		with data.conftest.file.dir as "infra/modules/eks-gpu"
	count(found) == 1
	root := deny with input as parse_config("hcl2", `provider "aws" { region = "eu-central-1" }`)
		with data.conftest.file.dir as "infra/examples/eks"
	count(root) == 0
}
