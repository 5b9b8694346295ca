data "aws_partition" "current" {}

locals {
  node_policies = toset([
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEKS_CNI_Policy",
    "AmazonEKSWorkerNodePolicy",
  ])
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "node" {
  name_prefix        = "${substr(var.name, 0, 20)}-gpu-"
  assume_role_policy = data.aws_iam_policy_document.assume.json

  tags = var.tags
}

resource "aws_iam_role_policy_attachment" "node" {
  for_each = local.node_policies

  role       = aws_iam_role.node.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/${each.key}"
}

resource "aws_launch_template" "pool" {
  for_each = var.pools

  name_prefix            = "${var.name}-${each.key}-"
  update_default_version = true

  # A capacity block is bought for one instance type; the template names it, the node group must not.
  instance_type = each.value.capacity_type == "CAPACITY_BLOCK" ? each.value.instance_types[0] : null

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      encrypted             = true
      volume_type           = "gp3"
      volume_size           = each.value.disk_gib
      throughput            = 500
      delete_on_termination = true
    }
  }

  # One hop: pods do not reach the instance's credentials; they use EKS Pod Identity.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  monitoring {
    enabled = true
  }

  dynamic "capacity_reservation_specification" {
    for_each = each.value.capacity_reservation_id[*]

    content {
      capacity_reservation_target {
        capacity_reservation_id = capacity_reservation_specification.value
      }
    }
  }

  dynamic "instance_market_options" {
    for_each = each.value.capacity_type == "CAPACITY_BLOCK" ? [1] : []

    content {
      market_type = "capacity-block"
    }
  }

  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume"])

    content {
      resource_type = tag_specifications.value
      tags          = merge(var.tags, { Name = "${var.name}-${each.key}" })
    }
  }

  tags = var.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_eks_node_group" "pool" {
  for_each = var.pools

  cluster_name           = var.cluster_name
  node_group_name_prefix = "${var.name}-${each.key}-"
  node_role_arn          = aws_iam_role.node.arn
  version                = var.kubernetes_version
  subnet_ids             = [for zone, id in var.subnet_ids : id if each.value.zones == null ? true : contains(each.value.zones, zone)]

  # This image brings the NVIDIA driver and container toolkit; the device plugin is the cluster's matter.
  ami_type       = "AL2023_x86_64_NVIDIA"
  capacity_type  = each.value.capacity_type
  instance_types = each.value.capacity_type == "CAPACITY_BLOCK" ? null : each.value.instance_types

  labels = merge(each.value.labels, { "nvidia.com/gpu.present" = "true", pool = each.key })

  launch_template {
    id      = aws_launch_template.pool[each.key].id
    version = aws_launch_template.pool[each.key].latest_version
  }

  scaling_config {
    min_size     = each.value.min_size
    max_size     = each.value.max_size
    desired_size = each.value.min_size
  }

  update_config {
    max_unavailable = 1
  }

  node_repair_config {
    enabled = true
  }

  # Keeps pods that need no GPU off the expensive nodes.
  taint {
    key    = "nvidia.com/gpu"
    value  = "true"
    effect = "NO_SCHEDULE"
  }

  dynamic "taint" {
    for_each = each.value.taints

    content {
      key    = taint.key
      value  = taint.value.value
      effect = taint.value.effect
    }
  }

  tags = var.tags

  timeouts {
    # GPU capacity is scarce: a group waits for its first nodes.
    create = "45m"
  }

  lifecycle {
    create_before_destroy = true
    ignore_changes        = [scaling_config[0].desired_size] # the autoscaler's
  }

  depends_on = [aws_iam_role_policy_attachment.node]
}
