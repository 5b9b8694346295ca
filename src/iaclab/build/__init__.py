"""Builds the notebooks from content/: `python -m iaclab.build`, or `--check` to say which are stale."""
