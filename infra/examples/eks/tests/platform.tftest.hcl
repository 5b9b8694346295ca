# With mocks: how the three modules fit together. `terraform init -backend=false && terraform test`
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
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:111122223333:log-group:/mock" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/mock" }
  }
  mock_resource "aws_eks_cluster" {
    defaults = { certificate_authority = [{ data = "LS0tLS1CRUdJTg==" }] }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-00000000000000000", latest_version = 1 }
  }
}

variables {
  environment        = "dev"
  owner              = "ml-platform"
  kubernetes_version = "1.35"
  administrators     = { platform = "arn:aws:iam::111122223333:role/platform" }
}

run "dev_is_cheap_and_can_be_removed" {
  command = plan

  assert {
    condition     = module.network.nat_public_ips != null && length(module.network.nat_public_ips) == 1
    error_message = "One NAT gateway is enough outside prod."
  }

  assert {
    condition     = keys(module.network.private_subnet_ids) == ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
    error_message = "Every zone has a subnet for nodes."
  }
}

run "prod_survives_a_zone" {
  command = plan

  variables {
    environment = "prod"
  }

  assert {
    condition     = length(module.network.nat_public_ips) == 3
    error_message = "In prod each zone has its own way out."
  }
}

run "everything_is_wired" {
  command = apply

  assert {
    condition     = output.cluster_name == "ml-dev" && keys(output.node_groups) == ["inference", "training"]
    error_message = "Both pools belong to the environment's cluster."
  }

  assert {
    condition     = output.kubeconfig_command == "aws eks update-kubeconfig --region eu-central-1 --name ml-dev"
    error_message = "The command names region and cluster."
  }
}

run "an_environment_that_does_not_exist_is_refused" {
  command = plan

  variables {
    environment = "test"
  }

  expect_failures = [var.environment]
}
