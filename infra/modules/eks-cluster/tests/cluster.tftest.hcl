# With mocks: what the module plans, without an account. `terraform test` in this module's folder.
mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-central-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-0000-0000-000000000000" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/ml-dev-eks" }
  }
  mock_resource "aws_eks_cluster" {
    defaults = {
      arn                   = "arn:aws:eks:eu-central-1:111122223333:cluster/ml-dev"
      endpoint              = "https://example.eks.amazonaws.com"
      certificate_authority = [{ data = "LS0tLS1CRUdJTg==" }]
    }
  }
}

variables {
  name               = "ml-dev"
  kubernetes_version = "1.35"
  subnet_ids         = ["subnet-0a", "subnet-0b"]
  administrators     = { platform = "arn:aws:iam::111122223333:role/platform" }
}

run "the_endpoint_is_private_by_default" {
  command = plan

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_public_access == false
    error_message = "Without public_access_cidrs nobody reaches the API server from outside."
  }

  assert {
    condition     = aws_eks_cluster.this.access_config[0].bootstrap_cluster_creator_admin_permissions == false
    error_message = "Whoever runs the apply must not stay administrator."
  }

  assert {
    condition     = aws_eks_cluster.this.enabled_cluster_log_types == toset(["api", "audit", "authenticator", "controllerManager", "scheduler"])
    error_message = "All five kinds of control plane logs are on."
  }

  assert {
    condition     = aws_eks_cluster.this.deletion_protection
    error_message = "A cluster is protected unless someone says otherwise."
  }
}

run "secrets_are_encrypted_with_our_key" {
  command = apply

  assert {
    condition     = aws_eks_cluster.this.encryption_config[0].provider[0].key_arn == output.kms_key_arn
    error_message = "The cluster's Secrets are encrypted with this module's key."
  }

  assert {
    condition     = output.certificate_authority == "LS0tLS1CRUdJTg=="
    error_message = "The output is the cluster's own authority."
  }
}

run "offices_reach_the_endpoint" {
  command = plan

  variables {
    public_access_cidrs = ["203.0.113.0/24"]
  }

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].public_access_cidrs == toset(["203.0.113.0/24"])
    error_message = "The named range, and no other, reaches the API server."
  }
}

run "the_open_internet_is_refused" {
  command = plan

  variables {
    public_access_cidrs = ["203.0.113.0/24", "0.0.0.0/0"]
  }

  expect_failures = [var.public_access_cidrs]
}

run "an_addon_can_be_pinned" {
  command = plan

  variables {
    addons = { vpc-cni = { version = "v1.20.0-eksbuild.1", configuration = "{\"env\":{\"ENABLE_PREFIX_DELEGATION\":\"true\"}}" } }
  }

  assert {
    condition     = keys(aws_eks_addon.this) == ["vpc-cni"] && aws_eks_addon.this["vpc-cni"].addon_version == "v1.20.0-eksbuild.1"
    error_message = "Only the named add-on, at the named version."
  }
}

run "an_account_is_no_administrator" {
  command = plan

  variables {
    administrators = { everybody = "arn:aws:iam::111122223333:root" }
  }

  expect_failures = [var.administrators]
}

run "a_patch_version_is_refused" {
  command = plan

  variables {
    kubernetes_version = "1.35.2"
  }

  expect_failures = [var.kubernetes_version]
}
