output "vpc_id" {
  description = "Id of the VPC."
  value       = aws_vpc.this.id
}

output "private_subnet_ids" {
  description = "Ids of the private subnets by zone: for nodes."
  value       = { for zone, subnet in aws_subnet.private : zone => subnet.id }
}

output "public_subnet_ids" {
  description = "Ids of the public subnets by zone: for load balancers alone."
  value       = { for zone, subnet in aws_subnet.public : zone => subnet.id }
}

output "nat_public_ips" {
  description = "Public addresses that the nodes' traffic leaves from, by zone: for allow lists elsewhere."
  value       = { for zone, address in aws_eip.nat : zone => address.public_ip }
}
