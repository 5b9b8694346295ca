environment        = "dev"
owner              = "ml-platform"
kubernetes_version = "1.35"
administrators     = { platform = "arn:aws:iam::111122223333:role/platform-admin" }
training_nodes     = 1
