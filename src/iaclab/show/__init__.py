"""Pictures where people would rather look than read; each has a text twin."""

from iaclab.show.argocd import argocd_tree, draw_tree
from iaclab.show.flux import draw_flux, flux_tree
from iaclab.show.nodes import draw_nodes, nodes
from iaclab.show.part import file
from iaclab.show.picture import Picture
from iaclab.show.policy import policy_controls
from iaclab.show.terraform import draw_graph, draw_plan, terraform_graph, terraform_plan
from iaclab.show.vault import draw_access, vault_access

__all__ = [
    "Picture",
    "argocd_tree",
    "draw_access",
    "draw_flux",
    "draw_graph",
    "draw_nodes",
    "draw_plan",
    "draw_tree",
    "file",
    "flux_tree",
    "nodes",
    "policy_controls",
    "terraform_graph",
    "terraform_plan",
    "vault_access",
]
