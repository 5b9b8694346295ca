"""What stands around Flux's own controllers: what is in its cluster, which of them run, and a source publisher.

Where source-controller's program is not there, the publisher takes its place: Git commit → tar.gz with a digest →
status of the GitRepository. kustomize-controller is always Flux's own.
"""
