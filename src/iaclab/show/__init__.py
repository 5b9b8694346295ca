"""Pictures where people would rather look than read; each has a text twin."""

from iaclab.show.argocd import argocd_tree, draw_tree
from iaclab.show.nodes import draw_nodes, nodes
from iaclab.show.part import file
from iaclab.show.picture import Picture

__all__ = ["Picture", "argocd_tree", "draw_nodes", "draw_tree", "file", "nodes"]
