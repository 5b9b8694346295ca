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
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:111122223333:log-group:/vpc/ml-dev/flow" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/ml-dev-flow" }
  }
}

variables {
  name               = "ml-dev"
  cidr_block         = "10.20.0.0/16"
  availability_zones = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
}

run "each_zone_has_its_own_way_out" {
  command = plan

  assert {
    condition     = length(aws_nat_gateway.this) == 3
    error_message = "Three zones need three NAT gateways."
  }

  assert {
    condition     = aws_subnet.private["eu-central-1b"].cidr_block == "10.20.32.0/19"
    error_message = "The second private subnet is the second eighth of the range."
  }

  assert {
    condition     = aws_subnet.public["eu-central-1a"].cidr_block == "10.20.224.0/23"
    error_message = "Public subnets are cut from the last eighth."
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.public : subnet.map_public_ip_on_launch == false])
    error_message = "No instance gets a public address by itself."
  }
}

run "one_gateway_serves_every_zone_where_it_may" {
  command = apply

  variables {
    single_nat_gateway = true
  }

  assert {
    condition     = keys(aws_nat_gateway.this) == ["eu-central-1a"]
    error_message = "One gateway, in the first zone."
  }

  assert {
    condition     = length(distinct([for route in aws_route.nat : route.nat_gateway_id])) == 1
    error_message = "Every zone's route leads to that gateway."
  }

  assert {
    condition     = length(output.private_subnet_ids) == 3
    error_message = "The subnets stay one for each zone."
  }
}

run "subnets_do_not_overlap_with_six_zones" {
  command = plan

  variables {
    availability_zones = ["z-a", "z-b", "z-c", "z-d", "z-e", "z-f"]
  }

  assert {
    condition     = length(distinct(concat([for s in aws_subnet.private : s.cidr_block], [for s in aws_subnet.public : s.cidr_block]))) == 12
    error_message = "Two subnets share a range."
  }
}

run "a_small_range_is_refused" {
  command = plan

  variables {
    cidr_block = "10.20.0.0/24"
  }

  expect_failures = [var.cidr_block]
}

run "one_zone_is_refused" {
  command = plan

  variables {
    availability_zones = ["eu-central-1a"]
  }

  expect_failures = [var.availability_zones]
}
