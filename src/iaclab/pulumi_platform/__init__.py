"""The platform's resources for Pulumi: the provider plugin `mlplatform`, and its Python SDK.

Like most of Pulumi's own providers it is bridged from a Terraform provider: schema, checks and operations are those of
`iaclab.terraform_provider`, and `bridge` translates names and values. `resources` and `components` are for programs.
"""

NAME = "mlplatform"
VERSION = "1.0.0"
