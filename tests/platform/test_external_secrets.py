"""The External Secrets Operator on a vault and a cluster: what it brings, what it says and records if it cannot."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
from running import kubectl, listening, state_of, wait_until

from iaclab.checks.secrets import ask
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster
from iaclab.platform.vault import api, nodes

pytestmark = pytest.mark.platform
NAMESPACE = "team"
PATIENCE = 120
STORE = {"kind": "SecretStore", "name": "vault"}
Object = dict[str, Any]


@dataclass
class World:
    """A namespace with a store that may read and write below ml/team/."""

    profile: Profile

    def apply(self, kind: str, name: str, spec: Object, version: str = "v1") -> None:
        meta: Object = {"name": name} if kind.startswith("Cluster") else {"name": name, "namespace": NAMESPACE}
        self.make({"apiVersion": f"external-secrets.io/{version}", "kind": kind, "metadata": meta, "spec": spec})

    def make(self, item: Object) -> None:
        """Any object; the same once more changes nothing."""
        command, env = ["kubectl", "apply", "-f", "-"], {**os.environ, **self.profile.env()}
        subprocess.run(command, input=json.dumps(item), env=env, text=True, check=True, capture_output=True)

    def put(self, path: str, **values: str) -> None:
        ask.write(self.profile, f"ml/data/{path}", {"data": values})

    def secret(self, name: str) -> dict[str, str]:
        found = cluster.kube(self.profile).get(f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}") or {}
        return {key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()}

    def is_gone_over_again(self, plural: str, name: str, version: str) -> None:
        """The operator refreshes an object once more."""
        path = f"/apis/external-secrets.io/{version}/namespaces/{NAMESPACE}/{plural}/{name}"

        def when() -> str:
            return str((cluster.kube(self.profile).get(path) or {}).get("status", {}).get("refreshTime", ""))

        before = when()
        self.becomes(lambda: when() != before, f"{name} is refreshed")

    def message(self, plural: str, name: str, version: str = "v1") -> str:
        path = f"/apis/external-secrets.io/{version}/namespaces/{NAMESPACE}/{plural}/{name}"
        conditions = (cluster.kube(self.profile).get(path) or {}).get("status", {}).get("conditions") or []
        return next((f"{c['status']} {c['reason']}: {c['message']}" for c in conditions if c["type"] == "Ready"), "")

    def says(self, name: str, words: str, plural: str = "externalsecrets", version: str = "v1") -> None:
        """The condition Ready of an object: status, reason and message."""
        wait_until(lambda: words in self.message(plural, name, version), f"{name} says: {words}", within=PATIENCE)

    def records(self, name: str, words: str) -> None:
        """The operator's events about an object: they hold the cause, the condition does not."""

        def found() -> bool:
            events = cluster.kube(self.profile).get(f"/api/v1/namespaces/{NAMESPACE}/events") or {}
            about = [one["message"] for one in events["items"] if one["involvedObject"]["name"] == name]
            return any(words in message for message in about)

        wait_until(found, f"an event of {name}: {words}", within=PATIENCE)

    def becomes(self, true: Callable[[], bool], what: str) -> None:
        wait_until(true, what, within=PATIENCE)


def provider(profile: Profile, account: Object, role: str = "team") -> Object:
    """A store's vault, with the login of a service account."""
    login = {"mountPath": "kubernetes", "role": role, "serviceAccountRef": {**account, "audiences": ["vault"]}}
    bundle = base64.b64encode(profile.ca.read_bytes()).decode()
    vault = {"server": nodes.address(profile), "path": "ml", "caBundle": bundle, "auth": {"kubernetes": login}}
    return {"provider": {"vault": vault}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    profile = Profile("external", state=tmp_path_factory.mktemp("external"))
    lifecycle.up("vault", "external-secrets", profile=profile)
    try:
        made = World(profile)
        kubectl(profile, "create", "namespace", NAMESPACE)
        for account in ("reader", "reviewer"):
            kubectl(profile, "-n", NAMESPACE, "create", "serviceaccount", account)
        binding = ["--clusterrole=system:auth-delegator", f"--serviceaccount={NAMESPACE}:reviewer"]
        kubectl(profile, "create", "clusterrolebinding", "reviewer", *binding)
        ask.write(profile, "sys/mounts/ml", {"type": "kv", "options": {"version": "2"}})
        ask.write(profile, "sys/auth/kubernetes", {"type": "kubernetes"})
        reviewer = ask.service_account_token(profile, NAMESPACE, "reviewer", "https://kubernetes.default.svc")
        host = kubectl(profile, "config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
        settings = {"kubernetes_host": host, "kubernetes_ca_cert": profile.ca.read_text()}
        ask.write(profile, "auth/kubernetes/config", {**settings, "token_reviewer_jwt": reviewer})
        rules = 'path "ml/+/team/*" { capabilities = ["create", "read", "update", "list"] }'
        ask.write(profile, "sys/policies/acl/team", {"policy": rules})
        role = {"bound_service_account_names": "reader", "bound_service_account_namespaces": NAMESPACE}
        ask.write(profile, "auth/kubernetes/role/team", {**role, "audience": "vault", "token_policies": "team"})
        made.apply("SecretStore", "vault", provider(profile, {"name": "reader"}))
        made.put("team/db", user="churn", password="first")
        made.put("other/db", password="hidden")
        yield made
    finally:
        lifecycle.down(profile=profile)


def wants(key: str, **more: Any) -> Object:
    return {"refreshInterval": "1s", "secretStoreRef": STORE, "dataFrom": [{"extract": {"key": key}}], **more}


def test_one_process_listens_on_one_loopback_port(world: World) -> None:
    processes = state_of(world.profile)["external-secrets"].processes
    assert list(processes) == ["controller"]
    sockets = listening([psutil.Process(processes["controller"])])
    assert sockets == [("127.0.0.1", world.profile.port("external-secrets.metrics"))]


def test_it_brings_a_secret_and_follows_the_vault(world: World) -> None:
    world.apply("ExternalSecret", "db", wants("team/db"))
    world.says("db", "True SecretSynced: secret synced")
    assert world.secret("db") == {"user": "churn", "password": "first"}
    world.put("team/db", user="churn", password="second")
    world.becomes(lambda: world.secret("db").get("password") == "second", "the new password is there")
    kubectl(world.profile, "-n", NAMESPACE, "delete", "secret", "db")
    world.becomes(lambda: world.secret("db").get("password") == "second", "a deleted Secret comes again")
    kubectl(world.profile, "-n", NAMESPACE, "delete", "externalsecret", "db")
    world.becomes(lambda: not world.secret("db"), "the Secret goes with its owner")


def test_what_is_fetched_once_stays(world: World) -> None:
    world.put("team/once", key="first")
    world.put("team/often", key="first")
    world.apply("ExternalSecret", "once", wants("team/once", refreshPolicy="CreatedOnce"))
    world.apply("ExternalSecret", "often", wants("team/often"))
    world.becomes(lambda: world.secret("once") == world.secret("often") == {"key": "first"}, "both are there")
    world.put("team/once", key="second")
    world.put("team/often", key="second")
    world.becomes(lambda: world.secret("often") == {"key": "second"}, "the periodic one has followed")
    assert world.secret("once") == {"key": "first"}


def test_a_template_makes_other_keys_with_the_functions_of_sprig(world: World) -> None:
    template = {"type": "Opaque", "data": {"url": "postgresql://{{ .user | upper }}@db"}}
    world.apply("ExternalSecret", "url", wants("team/db", target={"name": "url", "template": template}))
    world.becomes(lambda: world.secret("url") == {"url": "postgresql://CHURN@db"}, "the URL is there")


def test_it_finds_secrets_by_name_and_rewrites_their_keys(world: World) -> None:
    for name in ("model-a", "model-b"):
        world.put(f"team/found/{name}", key=name)
    find = {"path": "team/found", "name": {"regexp": "model-.*"}}
    rewrite = [{"regexp": {"source": ".*model-(.)", "target": "MODEL_$1"}}]
    world.apply("ExternalSecret", "found", wants("", dataFrom=[{"find": find, "rewrite": rewrite}]))
    world.becomes(lambda: set(world.secret("found")) == {"MODEL_a", "MODEL_b"}, "both are there, under new names")


GET, UPDATE = "could not get secret data from provider", "could not update secret"


@pytest.mark.parametrize(
    ("name", "spec", "words", "cause"),
    [
        ("denied", wants("other/db"), GET, "permission denied"),
        ("nothing", wants("team/nothing"), GET, "Secret does not exist"),
        ("property", wants("team/db", dataFrom=[], data=[
            {"secretKey": "x", "remoteRef": {"key": "team/db", "property": "x"}}
        ]), GET, "cannot find secret data for key: \"x\""),
        ("store", wants("team/db", secretStoreRef={"name": "another"}), GET, 'could not get SecretStore "another"'),
        ("template", wants("team/db", target={"template": {"data": {"x": "{{ .nobody }}"}}}), UPDATE, "no entry for"),
        ("missing", wants("team/db", target={"name": "none", "creationPolicy": "Merge"}), "will not be created", ""),
    ],
)  # fmt: skip
def test_what_it_cannot_do_it_says(world: World, name: str, spec: Object, words: str, cause: str) -> None:
    world.apply("ExternalSecret", name, spec)
    world.says(name, words)
    if cause:
        assert world.message("externalsecrets", name).startswith("False SecretSyncedError")
        world.records(name, cause)
    assert world.secret(name) == {}


@pytest.mark.parametrize("interval", ["soon", "1 h", "1d", "5"])
def test_an_interval_that_the_operator_cannot_read_is_refused_at_the_door(world: World, interval: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        world.apply("ExternalSecret", "interval", wants("team/db", refreshInterval=interval))
    assert "spec.refreshInterval" in refused.value.stderr
    world.apply("ExternalSecret", "after", wants("team/db", refreshInterval="1h30m"))
    world.says("after", "True SecretSynced")


def test_one_secret_has_one_owner(world: World) -> None:
    target = {"name": "contended"}
    world.apply("ExternalSecret", "earlier", wants("team/db", target=target))
    world.says("earlier", "True SecretSynced")
    world.apply("ExternalSecret", "later", wants("team/db", target=target))
    world.says("later", "False SecretSyncedError: target is owned by another ExternalSecret")


def test_it_merges_into_a_secret_of_others_and_keeps_their_keys(world: World) -> None:
    kubectl(world.profile, "-n", NAMESPACE, "create", "secret", "generic", "byhand", "--from-literal=x=y")
    world.put("team/merged", key="k")
    world.apply("ExternalSecret", "byhand", wants("team/merged", target={"creationPolicy": "Merge"}))
    world.becomes(lambda: world.secret("byhand") == {"x": "y", "key": "k"}, "its key is beside the other")


def test_a_store_that_cannot_log_in(world: World) -> None:
    world.apply("SecretStore", "stranger", provider(world.profile, {"name": "reviewer"}))
    world.says("stranger", "False InvalidProviderConfig", plural="secretstores")
    world.records("stranger", "service account name not authorized")
    world.apply("SecretStore", "nobody", provider(world.profile, {"name": "nobody"}))
    world.says("nobody", "False InvalidProviderConfig", plural="secretstores")
    world.records("nobody", '"nobody" not found')


def test_a_store_that_does_not_know_the_authority_of_the_vault(world: World) -> None:
    spec = provider(world.profile, {"name": "reader"})
    del spec["provider"]["vault"]["caBundle"]
    world.apply("SecretStore", "trusting", spec)
    world.says("trusting", "False InvalidProviderConfig", plural="secretstores")
    world.records("trusting", "certificate signed by unknown authority")


def test_a_cluster_store_is_for_the_namespaces_that_it_names(world: World) -> None:
    spec = provider(world.profile, {"name": "reader", "namespace": NAMESPACE})
    reference = {"kind": "ClusterSecretStore", "name": "shared"}
    world.apply("ClusterSecretStore", "shared", {**spec, "conditions": [{"namespaces": ["others"]}]})
    world.apply("ExternalSecret", "shared", {**wants("team/db"), "secretStoreRef": reference})
    world.says("shared", f"False SecretSyncedError: {GET}")
    world.records("shared", 'using cluster store "shared" is not allowed from namespace "team"')
    world.apply("ClusterSecretStore", "shared", {**spec, "conditions": [{"namespaces": ["others", NAMESPACE]}]})
    world.says("shared", "True SecretSynced")


def test_a_sealed_vault_takes_nothing_away(world: World) -> None:
    world.apply("ExternalSecret", "outage", wants("team/db"))
    world.says("outage", "True SecretSynced")
    for node in sorted(nodes.NODES, key=lambda node: nodes.address(world.profile, node) == leader(world)):
        api.write(world.profile, "sys/seal", token=ask.client_token(world.profile), node=node)
    world.says("outage", "False SecretSyncedError")
    assert world.secret("outage")
    lifecycle.up("vault", profile=world.profile)
    world.says("outage", "True SecretSynced")


def leader(world: World) -> str:
    return api.leader(world.profile, "node-1")


def push(world: World, name: str) -> None:
    """Push the Secret `made-here` to team/NAME; the Secret is made where no test has made it before."""
    meta = {"name": "made-here", "namespace": NAMESPACE}
    world.make({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"token": "t"}})
    match = {"secretKey": "token", "remoteRef": {"remoteKey": f"team/{name}", "property": "token"}}
    selector = {"secret": {"name": "made-here"}}
    spec = {"refreshInterval": "1s", "secretStoreRefs": [STORE], "selector": selector, "data": [{"match": match}]}
    world.apply("PushSecret", name, spec, version="v1alpha1")


def test_it_pushes_what_is_its_own_and_leaves_the_rest_of_it(world: World) -> None:
    push(world, "tracker")
    world.says("tracker", "True Synced: PushSecret synced", plural="pushsecrets", version="v1alpha1")
    assert ask.read(world.profile, "ml/data/team/tracker")["data"] == {"token": "t"}
    world.put("team/tracker", token="changed", other="stays")
    pushed = {"token": "t", "other": "stays"}
    world.becomes(lambda: ask.read(world.profile, "ml/data/team/tracker")["data"] == pushed, "its token is back")
    version = ask.read(world.profile, "ml/metadata/team/tracker")["current_version"]
    for _ in range(2):
        world.is_gone_over_again("pushsecrets", "tracker", "v1alpha1")
    assert ask.read(world.profile, "ml/metadata/team/tracker")["current_version"] == version, "nothing new, no version"


def test_it_pushes_nothing_over_what_somebody_else_wrote(world: World) -> None:
    world.put("team/written", token="by hand")
    push(world, "written")
    words = "secret not managed by external-secrets"
    world.says("written", "False Errored", plural="pushsecrets", version="v1alpha1")
    assert words in world.message("pushsecrets", "written", "v1alpha1")
    assert ask.read(world.profile, "ml/data/team/written")["data"] == {"token": "by hand"}
