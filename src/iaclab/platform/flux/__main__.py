"""Run by the supervisor: `python -m iaclab.platform.flux KUBECONFIG FOLDER PORT WORK`.

WORK is `publish`, or `receive` where source-controller runs and only webhooks and ExternalArtifacts are left to do. The
path of the artifacts and the webhook's secret come from the environment: `ps` does not show them.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from iaclab.platform.flux import externals, publisher
from iaclab.platform.flux.artifact import Store
from iaclab.platform.flux.receiver import Receiver
from iaclab.platform.flux.status import Manifest
from iaclab.platform.flux.watch import Cluster, Loop
from iaclab.platform.flux.web import SECRET, TOKEN, Web
from iaclab.platform.profile import HOST


def main(kubeconfig: Path, folder: Path, port: int, publishes: bool) -> None:
    """Work until stopped."""
    import waitress

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of every request
    cluster = Cluster(kubeconfig)
    token = os.environ[TOKEN]
    store = Store(folder / "artifacts", f"http://{HOST}:{port}/{token}")
    source_loop, external_loop = _loops(cluster, store, folder / "mirrors", publishes)
    receiver = Receiver(cluster, os.environ[SECRET])
    web = Web(store, token, receiver, lambda: source_loop.synced.is_set() and external_loop.synced.is_set())
    source_loop.start()
    external_loop.start()
    waitress.serve(web, host=HOST, port=port, threads=6, ident="iaclab flux sources")


def _loops(cluster: Cluster, store: Store, mirrors: Path, publishes: bool) -> tuple[Loop, Loop]:
    git = publisher.Publisher(cluster, store, mirrors)

    def source_changed(before: Manifest | None, after: Manifest | None) -> None:
        if after is None and before is not None:
            git.forget(before)
        if _digest(before) != _digest(after):
            key = "/".join((after or before or {})["metadata"][part] for part in ("namespace", "name"))
            for name, item in list(external_loop.objects.items()):
                if externals.origin(item) == key:
                    external_loop.hurry(name)

    def external_changed(before: Manifest | None, after: Manifest | None) -> None:
        if after is None and before is not None:
            external.forget(before)

    source_loop = Loop(cluster, publisher.PATH, git.reconcile if publishes else lambda source: None, source_changed)
    external = externals.Externals(cluster, store, source_loop.objects)
    external_loop = Loop(cluster, externals.PATH, external.reconcile, external_changed, workers=1)
    return source_loop, external_loop


def _digest(source: Manifest | None) -> object:
    return (source or {}).get("status", {}).get("artifact", {}).get("digest")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "publish")
