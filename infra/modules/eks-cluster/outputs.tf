output "name" {
  description = "Name of the cluster, known once it is active: pass it to node pools, so that they wait for it."
  value       = aws_eks_cluster.this.name
}

output "arn" {
  description = "ARN of the cluster."
  value       = aws_eks_cluster.this.arn
}

output "endpoint" {
  description = "URL of the API server."
  value       = aws_eks_cluster.this.endpoint
}

output "certificate_authority" {
  description = "The cluster's certificate authority, base64-encoded PEM."
  value       = aws_eks_cluster.this.certificate_authority[0].data
}

output "kubernetes_version" {
  description = "Kubernetes version that the control plane runs."
  value       = aws_eks_cluster.this.version
}

output "security_group_id" {
  description = "Security group that EKS puts on the control plane and on managed nodes."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

output "kms_key_arn" {
  description = "ARN of the key that encrypts the cluster's Secrets and logs."
  value       = aws_kms_key.cluster.arn
}
