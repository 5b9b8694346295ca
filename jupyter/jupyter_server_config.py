"""Argo CD's web page in JupyterLab's launcher; what needs no Python is in jupyter_server_config.json."""

from iaclab import argocd_page

c = get_config()  # noqa: F821
c.ServerProxy.servers = {argocd_page.NAME: argocd_page.server()}
