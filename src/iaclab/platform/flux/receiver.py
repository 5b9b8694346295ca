"""As notification-controller's Receiver: a push, reported by a signed webhook, has its GitRepositories reconciled.

It sets the annotation that `flux reconcile source git` sets, so that it serves source-controller as well as the
publisher.
"""

from __future__ import annotations

import hmac
import json
import time

from iaclab.platform.flux.publisher import PATH, object_path
from iaclab.platform.flux.status import REQUESTED, Manifest
from iaclab.platform.flux.watch import Cluster, on_each


class Receiver:
    """Takes webhooks in GitHub's form; `secret` signs them."""

    def __init__(self, cluster: Cluster, secret: str) -> None:
        self.cluster, self.secret = cluster, secret

    def is_signed(self, body: bytes, signature: str) -> bool:
        """Whether the header X-Hub-Signature-256 is that of `body`."""
        wanted = "sha256=" + hmac.new(self.secret.encode(), body, "sha256").hexdigest()
        return hmac.compare_digest(wanted, signature)

    def push(self, body: bytes) -> int:
        """Request every GitRepository of the repository that was pushed to; returns how many there are.

        Raises:
            ValueError, KeyError: the body is not a push.
        """
        pushed = _plain(json.loads(body)["repository"]["html_url"])
        sources = (self.cluster.get(PATH) or {"items": []})["items"]
        mine = [source for source in sources if _plain(source["spec"]["url"]) == pushed]
        on_each(mine, self._request)
        return len(mine)

    def _request(self, source: Manifest) -> None:
        self.cluster.patch(object_path(source), {"metadata": {"annotations": {REQUESTED: f"{time.time():.6f}"}}})


def _plain(url: str) -> str:
    """A repository's URL without what may differ between two that name the same."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].rstrip('/').removesuffix('.git')}"
