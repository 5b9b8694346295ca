"""The Terraform provider `mlplatform`: a thin layer of schema and diagnostics over `iaclab.mlplatform`.

Written on `tf` (https://python-tf.readthedocs.io); docs/provider.md is made from its schema.
"""

HOST = "course.local"
SOURCE = f"{HOST}/iaclab/mlplatform"
VERSION = "1.0.0"
