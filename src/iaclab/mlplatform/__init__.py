"""The course's ML platform as real objects: teams, GPU node pools, model buckets.

Nothing here knows Terraform: its provider and Pulumi's resources are thin layers over these modules.
"""
