"""Reconciles GitRepositories in source-controller's place: fetch the commit, pack it, publish it in the status.

It does what most GitRepositories need: http and https, basic and bearer login, every kind of `spec.ref`, `ignore`,
`interval`, `timeout`, `suspend`. What it does not do it refuses, with a message that says so.
"""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path

from iaclab.platform.flux.artifact import Store, pack
from iaclab.platform.flux.git import GitFailed, Login, Repository
from iaclab.platform.flux.status import Manifest, Outcome, after, is_first_attempt, is_news, progressing, stored
from iaclab.platform.flux.watch import Cluster, Retry, log

PATH = "/apis/source.toolkit.fluxcd.io/v1/gitrepositories"
_NOT_DONE = ("verify", "include", "recurseSubmodules", "sparseCheckout", "proxySecretRef", "serviceAccountName")
_LOGINS_NOT_DONE = ("identity", "tls.key", "githubAppID", "githubAppClientID")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class _Refused(Exception):
    """Only a change of the object can mend it."""


class _NoLogin(Exception):
    """The Secret with the login is not there, or not usable."""


class Publisher:
    """Publishes GitRepositories.

    Args:
        mirrors: a folder for what is fetched, a bare repository for each source.
    """

    def __init__(self, cluster: Cluster, store: Store, mirrors: Path) -> None:
        self.cluster, self.store, self.mirrors = cluster, store, mirrors

    def reconcile(self, source: Manifest) -> float | None:
        """One attempt; the status says how it ended. Returns the seconds to the next, `None` for a suspended one.

        Raises:
            Retry: it failed, and may succeed the next time.
        """
        spec, path = source["spec"], object_path(source)
        if spec.get("suspend"):
            return None
        have = source.get("status", {}).get("artifact")
        gone = have is not None and not self.store.holds(have)
        work = _work(source, gone)
        if work:
            what = {"artifact": None} if gone else {}  # who used it sees it go, and come again
            self.cluster.write_status(path, {**progressing(source, work), **what})
        outcome = self._attempt(source, None if gone else have)
        status = after(source, outcome, "source-controller")
        if work or is_news(source, status):
            self.cluster.write_status(path, status)
        self._tell(source, outcome)
        if outcome.failed and not outcome.final:
            raise Retry
        return None if outcome.final else seconds(spec["interval"])

    def forget(self, source: Manifest) -> None:
        """Drop what is kept of a source that is gone."""
        self.store.forget(place(source))
        shutil.rmtree(self._mirror(source), ignore_errors=True)

    def _attempt(self, source: Manifest, have: Manifest | None) -> Outcome:
        if have:
            have = {**have, "url": self.store.address(have["path"])}
        try:
            _refuse_what_is_not_done(source["spec"])
            return self._publish(source, have, self._login(source))
        except _Refused as error:
            return Outcome(have, "NotSupported", str(error), "FetchFailed", final=True)
        except _NoLogin as error:
            return Outcome(have, "AuthenticationFailed", str(error), "FetchFailed")
        except GitFailed as error:
            shutil.rmtree(self._mirror(source), ignore_errors=True)  # a killed git may have left a lock in it
            url = source["spec"]["url"]
            message = f"failed to checkout and determine revision: unable to clone '{url}': {error}"
            return Outcome(have, "GitOperationFailed", message, "FetchFailed")

    def _publish(self, source: Manifest, have: Manifest | None, login: Login) -> Outcome:
        spec = source["spec"]
        repository = Repository(self._mirror(source), spec["url"], login, seconds(spec.get("timeout", "60s")))
        revision = repository.fetch(spec.get("ref", {}))
        rules = spec.get("ignore")
        observed = {"observedIgnore": rules}
        same_rules = source.get("status", {}).get("observedIgnore") == rules
        if have is None or have["revision"] != str(revision) or not same_rules:
            packed = pack(repository.files(revision.commit, rules))
            have = self.store.put(place(source), revision.commit, str(revision), packed)
            subject = repository.subject(revision.commit)
            self.cluster.report(source, "Normal", "NewArtifact", f"stored artifact for commit '{subject}'")
        return Outcome(have, "Succeeded", stored(have), observed=observed)

    def _login(self, source: Manifest) -> Login:
        name = source["spec"].get("secretRef", {}).get("name")
        if not name:
            return Login()
        namespace = source["metadata"]["namespace"]
        secret = self.cluster.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        if secret is None:
            raise _NoLogin(f"failed to get secret '{namespace}/{name}': secrets \"{name}\" not found")
        data = {key: base64.b64decode(value).decode(errors="replace") for key, value in secret.get("data", {}).items()}
        if unknown := [key for key in _LOGINS_NOT_DONE if key in data]:
            raise _NoLogin(f"secret '{namespace}/{name}' has {unknown[0]}: {_NOT_OURS}")
        return Login(
            data.get("username", ""),
            data.get("password", ""),
            data.get("bearerToken", ""),
            data.get("ca.crt", "") or data.get("caFile", ""),
        )

    def _tell(self, source: Manifest, outcome: Outcome) -> None:
        """A line of the log, and an Event for a failure, once, however often it is tried again."""
        log.info("%s: %s", place(source), outcome.message)
        before = {c["type"]: c["message"] for c in source.get("status", {}).get("conditions", [])}
        if outcome.failed and before.get(outcome.failed) != outcome.message:
            self.cluster.report(source, "Warning", outcome.reason, outcome.message)

    def _mirror(self, source: Manifest) -> Path:
        meta = source["metadata"]
        return self.mirrors.joinpath(meta["namespace"], f"{meta['name']}.git")


_NOT_OURS = "IaC Lab's source publisher does not do that, source-controller does"


def _work(source: Manifest, gone: bool) -> str:
    """What there is to say before the attempt; empty for one that only looks for news."""
    if gone:
        return "building artifact: disappeared from storage"
    if not is_first_attempt(source):
        return ""
    old = source.get("status", {}).get("observedGeneration", -1)
    return f"processing object: new generation {old} -> {source['metadata']['generation']}"


def _refuse_what_is_not_done(spec: Manifest) -> None:
    given = [name for name in _NOT_DONE if spec.get(name)]
    if given:
        raise _Refused(f"spec.{given[0]}: {_NOT_OURS}")
    if spec.get("provider", "generic") != "generic":
        raise _Refused(f"spec.provider {spec['provider']}: {_NOT_OURS}")
    if not spec["url"].startswith(("http://", "https://")):
        raise _Refused(f"spec.url {spec['url']}: {_NOT_OURS}")


def object_path(item: Manifest) -> str:
    """The API path of a source."""
    kind = {"GitRepository": "gitrepositories", "ExternalArtifact": "externalartifacts"}[item["kind"]]
    return f"/apis/{item['apiVersion']}/namespaces/{item['metadata']['namespace']}/{kind}/{item['metadata']['name']}"


def place(item: Manifest) -> str:
    """Where the store keeps a source's artifacts."""
    return f"{item['kind'].lower()}/{item['metadata']['namespace']}/{item['metadata']['name']}"


def seconds(duration: str) -> float:
    """A duration as Go writes it (`1h`, `1m30s`, `500ms`), in seconds."""
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9.]+)(ms|s|m|h)", duration))
