output "node_group_names" {
  description = "Names of the node groups by pool."
  value       = { for pool, group in aws_eks_node_group.pool : pool => group.node_group_name }
}

output "autoscaling_group_names" {
  description = "Names of the Auto Scaling groups by pool: for alarms and for the autoscaler."
  value       = { for pool, group in aws_eks_node_group.pool : pool => try(group.resources[0].autoscaling_groups[0].name, null) }
}

output "node_role_arn" {
  description = "ARN of the nodes' role. EKS makes the access entry for managed nodes itself."
  value       = aws_iam_role.node.arn
}
