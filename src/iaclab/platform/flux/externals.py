"""ExternalArtifacts that name a GitRepository: one folder of it as an artifact of its own, in source-watcher's place.

The annotation `course.local/path` names the folder. The revision is the digest of what is in it: a commit elsewhere in
the repository changes nothing here. Any other ExternalArtifact is somebody else's and is left alone.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping

import httpx

from iaclab.platform.flux.artifact import Store, digest, pack, unpack
from iaclab.platform.flux.git import File
from iaclab.platform.flux.publisher import object_path, place
from iaclab.platform.flux.status import FOLDER, Manifest, Outcome, after, is_news, stored
from iaclab.platform.flux.watch import Cluster, Retry, log

PATH = "/apis/source.toolkit.fluxcd.io/v1/externalartifacts"
_FIELDS = ("artifact", "conditions")  # the whole status of an ExternalArtifact


class _NoArtifact(Exception):
    """The GitRepository has nothing to give, or not this folder."""


class Externals:
    """Publishes ExternalArtifacts.

    Args:
        sources: the GitRepositories of the cluster, by `namespace/name`.
    """

    def __init__(self, cluster: Cluster, store: Store, sources: Mapping[str, Manifest]) -> None:
        self.cluster, self.store, self.sources = cluster, store, sources

    def reconcile(self, item: Manifest) -> float | None:
        """One attempt; the status says how it ended.

        Raises:
            Retry: it failed, and may succeed the next time.
        """
        if origin(item) is None:
            return None
        have = item.get("status", {}).get("artifact")
        try:
            artifact = self._cut(item)
            where = item["metadata"].get("annotations", {}).get(FOLDER, "")
            message = f"{stored(artifact)}{f': folder {where}' if where else ''}"
            outcome = Outcome(artifact, "Succeeded", message)
        except _NoArtifact as error:
            outcome = Outcome(have, "FetchFailed", str(error), "FetchFailed")
        status = {key: value for key, value in after(item, outcome, "source-watcher").items() if key in _FIELDS}
        if is_news(item, status):
            log.info("%s: %s", place(item), outcome.message)
            self.cluster.write_status(object_path(item), status)
        if outcome.failed:
            raise Retry
        return None

    def forget(self, item: Manifest) -> None:
        """Drop what is kept of one that is gone."""
        self.store.forget(place(item))

    def _cut(self, item: Manifest) -> Manifest:
        key = origin(item)
        source = self.sources.get(key or "", {})
        given = source.get("status", {}).get("artifact")
        if given is None:
            raise _NoArtifact(f"GitRepository '{key}' {'has no artifact' if source else 'not found'}")
        folder = item["metadata"].get("annotations", {}).get(FOLDER, "").strip("./")
        files = [file for file in self._files(given) if not folder or file.path.startswith(f"{folder}/")]
        if not files:
            raise _NoArtifact(f"folder '{folder}' is not in {given['revision']}")
        packed = pack(File(f.path[len(folder) + 1 :] if folder else f.path, f.executable, f.content) for f in files)
        revision = f"{given['revision'].partition('@')[0]}@{digest(packed)}"
        have = item.get("status", {}).get("artifact")
        if have and have["revision"] == revision and self.store.holds(have):
            return {**have, "url": self.store.address(have["path"])}
        return self.store.put(place(item), digest(packed).partition(":")[2], revision, packed)

    def _files(self, given: Manifest) -> list[File]:
        """Downloaded and verified as kustomize-controller does it."""
        try:
            answer = httpx.get(given["url"], timeout=30, trust_env=False).raise_for_status()
        except httpx.HTTPError as error:
            raise _NoArtifact(f"failed to download {given['path']}: {error}") from error
        if digest(answer.content) != given["digest"]:
            raise _NoArtifact(f"{given['path']} has another digest than {given['digest']}")
        try:
            return unpack(answer.content)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise _NoArtifact(f"{given['path']} is not a tar.gz: {error}") from error


def origin(item: Manifest) -> str | None:
    """`namespace/name` of the GitRepository that an ExternalArtifact names, if it names one of its own namespace."""
    ref = item.get("spec", {}).get("sourceRef", {})
    namespace = item["metadata"]["namespace"]
    ours = ref.get("kind") == "GitRepository" and ref.get("namespace", namespace) == namespace
    return f"{namespace}/{ref['name']}" if ours else None
