"""Flux: a commit is applied, mistakes are told in the controllers' own words, and everything recovers."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from argo import deployment
from fluxcd import (
    SELDOM,
    apply,
    change,
    commit,
    conditions,
    config_map,
    events,
    handled,
    kustomization,
    look,
    manifests,
    path_of,
    request,
    source,
    wait_applied,
    wait_said,
)
from running import kubectl, listening, objects, processes_of, shell, state_of, wait_until

from iaclab import tools
from iaclab.platform import lifecycle
from iaclab.platform.flux import controllers
from iaclab.platform.flux.artifact import digest, pack
from iaclab.platform.flux.git import File
from iaclab.platform.flux.install import NAMESPACE
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster, flux, git

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    profile = Profile("flux", state=tmp_path_factory.mktemp("flux"))
    lifecycle.up("flux", profile=profile)
    try:
        yield profile
    finally:
        lifecycle.down(profile=profile)
        assert not processes_of(profile), "`down` left processes behind"


@pytest.fixture
def lab(started: Profile, own_state: None) -> Profile:
    """The profile with everything up, whatever the test before did to it."""
    return lifecycle.up("flux", profile=started)


def deployed(profile: Profile, name: str, namespace: str) -> dict[str, str]:
    """The data of a ConfigMap, empty where there is none."""
    found = cluster.kube(profile).get(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
    return dict(found["data"]) if found else {}


def test_a_push_is_applied_by_way_of_the_webhook(lab: Profile, tmp_path: Path) -> None:
    """With an interval of an hour: nothing but the push can have brought it."""
    first = commit(lab, tmp_path, {"app/all.yaml": manifests(deployment("model"))}, "pushed")
    source(lab, "pushed")
    kustomization(lab, "pushed")
    wait_applied(lab, "pushed", first)
    for replicas in (2, 3):
        text = manifests(deployment("model", replicas=replicas))
        pushed = commit(lab, tmp_path, {"app/all.yaml": text}, "pushed")
        print(f"a push was applied after {wait_applied(lab, 'pushed', pushed):.1f} s")
        found = cluster.kube(lab).get("/apis/apps/v1/namespaces/pushed/deployments/model")
        assert found and found["spec"]["replicas"] == replicas
    status = look(lab, "GitRepository", "pushed")["status"]
    assert status["artifact"]["revision"] == f"main@sha1:{pushed}"
    assert f"stored artifact for revision 'main@sha1:{pushed}'" in kubectl(lab, "get", "gitrepository", "-A")
    assert "stored artifact for commit 'change of app/all.yaml'" in events(lab, "GitRepository", "pushed")


def test_what_is_gone_from_git_is_pruned_and_a_deleted_kustomization_takes_its_objects_along(
    lab: Profile, tmp_path: Path
) -> None:
    commit(lab, tmp_path, {"app/all.yaml": manifests(config_map("stays", a="1"), config_map("goes", a="1"))}, "pruned")
    source(lab, "pruned")
    kustomization(lab, "pruned")
    wait_said(lab, "Kustomization", "pruned", "Applied revision", "True")
    assert deployed(lab, "goes", "pruned")
    last = commit(lab, tmp_path, {"app/all.yaml": manifests(config_map("stays", a="2"))}, "pruned")
    wait_applied(lab, "pruned", last)
    assert deployed(lab, "stays", "pruned") == {"a": "2"}
    assert not deployed(lab, "goes", "pruned")
    kubectl(lab, "delete", "kustomization", "pruned", "-n", NAMESPACE, "--timeout=150s")
    wait_until(lambda: not deployed(lab, "stays", "pruned"), "the Kustomization's objects are gone with it")


def test_drift_is_mended(lab: Profile, tmp_path: Path) -> None:
    last = commit(lab, tmp_path, {"app/all.yaml": manifests(config_map("drifting", a="1"))}, "drift")
    source(lab, "drift")
    kustomization(lab, "drift", interval="5s")
    wait_applied(lab, "drift", last)
    kubectl(lab, "patch", "configmap", "drifting", "-n", "drift", "--patch", '{"data":{"a":"by hand"}}')
    wait_until(lambda: deployed(lab, "drifting", "drift") == {"a": "1"}, "the value from Git is back")
    kubectl(lab, "delete", "configmap", "drifting", "-n", "drift")
    wait_until(lambda: deployed(lab, "drifting", "drift") == {"a": "1"}, "the object is back")


ONE = manifests(config_map("x", a="1"))
MISTAKES = {  # what a commit holds, and what kustomize-controller says of it
    "no-yaml": ({"app/all.yaml": "kind: [unclosed"}, "MalformedYAMLError"),
    "refused": ({"app/all.yaml": manifests(deployment("m", replicas=-1))}, "must be greater than or equal"),
    "unknown": ({"app/all.yaml": "apiVersion: a.b/v1\nkind: C\nmetadata: {name: x}\n"}, "no matches for kind"),
    "no-path": ({"elsewhere/all.yaml": ONE}, "kustomization path not found"),
    "broken": ({"app/kustomization.yaml": "resources: [missing.yaml]\n"}, "accumulating resources from 'missing.yaml'"),
    "patchless": (
        {
            "app/kustomization.yaml": "resources: [all.yaml]\npatches: [{path: p.yaml}]\n",
            "app/all.yaml": ONE,
            "app/p.yaml": manifests(config_map("other", a="2")),
        },
        "no matches for Id",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_the_controllers_words_and_the_next_commit_mends_it(
    lab: Profile, tmp_path: Path, name: str
) -> None:
    good = {"app/all.yaml": manifests(config_map("good", a="1")), "app/kustomization.yaml": "resources: [all.yaml]\n"}
    first = commit(lab, tmp_path, good, name)
    source(lab, name)
    kustomization(lab, name)
    wait_applied(lab, name, first)
    files, words = MISTAKES[name]
    commit(lab, tmp_path, files, name)
    wait_said(lab, "Kustomization", name, words)
    assert deployed(lab, "good", name) == {"a": "1"}, "what runs was touched by a commit that cannot be applied"
    last = commit(lab, tmp_path, {**good, "app/all.yaml": manifests(config_map("good", a="2"))}, name)
    wait_applied(lab, name, last)
    assert deployed(lab, "good", name) == {"a": "2"}


def test_an_artifact_that_was_tampered_with_is_not_applied(lab: Profile, tmp_path: Path) -> None:
    last = commit(lab, tmp_path, {"app/all.yaml": manifests(config_map("true", a="1"))}, "tampered")
    source(lab, "tampered")
    kustomization(lab, "tampered")
    wait_applied(lab, "tampered", last)
    artifact = look(lab, "GitRepository", "tampered")["status"]["artifact"]
    evil = pack([File("app/all.yaml", False, manifests(config_map("evil", a="1")).encode())])
    (lab.root / "flux" / "artifacts" / artifact["path"]).write_bytes(evil)
    request(lab, "Kustomization", "tampered")
    wait_said(lab, "Kustomization", "tampered", f"computed digest doesn't match provided '{artifact['digest']}'")
    assert not deployed(lab, "evil", "tampered")
    value = request(lab, "GitRepository", "tampered")  # sees the harm, and packs the commit anew
    wait_until(lambda: handled(lab, "GitRepository", "tampered") == value, "the source has been looked at")
    request(lab, "Kustomization", "tampered")
    wait_said(lab, "Kustomization", "tampered", "Applied revision", "True")
    again = look(lab, "GitRepository", "tampered")["status"]["artifact"]
    assert again["digest"] == artifact["digest"], "the same commit makes the same artifact"
    assert again["lastUpdateTime"] >= artifact["lastUpdateTime"]


def test_the_git_server_may_go_and_come_back(lab: Profile, tmp_path: Path) -> None:
    first = commit(lab, tmp_path, {"app/all.yaml": manifests(config_map("there", a="1"))}, "outage")
    source(lab, "outage", interval="5s")
    kustomization(lab, "outage")
    wait_applied(lab, "outage", first)
    lifecycle.down("git", profile=lab)
    said = wait_said(lab, "GitRepository", "outage", "failed to checkout and determine revision: unable to clone")
    assert "Failed to connect to 127.0.0.1" in said
    item = look(lab, "GitRepository", "outage")
    assert conditions(item)["FetchFailed"]["reason"] == "GitOperationFailed"
    assert conditions(item)["ArtifactInStorage"]["status"] == "True"
    assert item["status"]["artifact"]["revision"] == f"main@sha1:{first}"
    kubectl(lab, "delete", "configmap", "there", "-n", "outage")
    request(lab, "Kustomization", "outage")  # the last artifact serves meanwhile
    wait_until(lambda: deployed(lab, "there", "outage") == {"a": "1"}, "drift is mended without Git")
    lifecycle.up(profile=lab)
    wait_said(lab, "GitRepository", "outage", f"stored artifact for revision 'main@sha1:{first}'", "True")
    assert "FetchFailed" not in conditions(look(lab, "GitRepository", "outage"))
    last = commit(lab, tmp_path, {"app/all.yaml": manifests(config_map("there", a="2"))}, "outage")
    wait_applied(lab, "outage", last)


@pytest.mark.parametrize("kind", ["GitRepository", "Kustomization"])
def test_suspend_and_resume(lab: Profile, tmp_path: Path, kind: str) -> None:
    name = f"suspended-{kind.lower()}"
    first = commit(lab, tmp_path, {"app/all.yaml": manifests(config_map("paused", a="1"))}, name)
    source(lab, name)
    kustomization(lab, name)
    wait_applied(lab, name, first)
    change(lab, kind, name, suspend=True)
    last = commit(lab, tmp_path, {"app/all.yaml": manifests(config_map("paused", a="2"))}, name)
    witness = tmp_path / "witness"  # what is applied after it would have been applied by now
    commit(lab, witness, {"app/all.yaml": manifests(config_map("paused", a="2"))}, f"{name}-witness")
    source(lab, f"{name}-witness")
    kustomization(lab, f"{name}-witness")
    wait_said(lab, "Kustomization", f"{name}-witness", "Applied revision", "True")
    assert deployed(lab, "paused", name) == {"a": "1"}
    change(lab, kind, name, suspend=False)
    wait_applied(lab, name, last)
    assert deployed(lab, "paused", name) == {"a": "2"}


def test_a_requested_attempt_is_made_and_acknowledged(lab: Profile, tmp_path: Path) -> None:
    first = commit(lab, tmp_path, {"app/all.yaml": manifests(config_map("asked", a="1"))}, "asked")
    source(lab, "asked")
    kustomization(lab, "asked")
    wait_applied(lab, "asked", first)
    for kind in ("GitRepository", "Kustomization"):
        value = request(lab, kind, "asked")
        wait_until(
            lambda kind=kind, value=value: handled(lab, kind, "asked") == value,
            f"{kind} says that it has handled {value}",
        )
    cli = shell(lab, str(tools.ensure("flux")["flux"]), "reconcile", "kustomization", "asked", "--with-source")
    assert f"applied revision main@sha1:{first}" in cli.stderr


def test_secrets_are_decrypted(lab: Profile, tmp_path: Path) -> None:
    bins = tools.ensure("sops", "age-keygen")
    key = tmp_path / "key.txt"
    subprocess.run([bins["age-keygen"], "-o", key], check=True, capture_output=True)
    public = subprocess.run([bins["age-keygen"], "-y", key], check=True, capture_output=True, text=True).stdout.strip()
    token = base64.b64encode(b"hunter2").decode()
    plain = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "api"}, "data": {"token": token}}
    (tmp_path / "secret.yaml").write_text(manifests(plain))
    encrypt = ["encrypt", "--age", public, "--encrypted-regex", "^(data|stringData)$", tmp_path / "secret.yaml"]
    text = subprocess.run([bins["sops"], *encrypt], check=True, capture_output=True, text=True).stdout
    assert token not in text
    kubectl(lab, "create", "secret", "generic", "sops-age", "-n", NAMESPACE, f"--from-file=age.agekey={key}")
    last = commit(lab, tmp_path / "repository", {"app/secret.yaml": text}, "sealed")
    source(lab, "sealed")
    kustomization(lab, "sealed")
    wait_said(lab, "Kustomization", "sealed", "is SOPS encrypted, configuring decryption is required")
    change(lab, "Kustomization", "sealed", decryption={"provider": "sops", "secretRef": {"name": "sops-age"}})
    wait_applied(lab, "sealed", last)
    assert kubectl(lab, "get", "secret", "api", "-n", "sealed", "-o", "jsonpath={.data.token}") == token


@pytest.mark.parametrize(
    ("ref", "revision"),
    [
        ({"branch": "dev"}, "dev@sha1:{dev}"),
        ({"tag": "v1.0.0"}, "v1.0.0@sha1:{one}"),
        ({"tag": "v1.1.0"}, "v1.1.0@sha1:{two}"),  # an annotated tag: its commit counts
        ({"semver": "1.x"}, "v1.1.0@sha1:{two}"),
        ({"semver": "~1.0"}, "v1.0.0@sha1:{one}"),
        ({"name": "refs/tags/v1.0.0"}, "refs/tags/v1.0.0@sha1:{one}"),
        ({"commit": "{one}"}, "sha1:{one}"),
        ({"branch": "main", "commit": "{one}"}, "main@sha1:{one}"),
        ({"branch": "nope"}, "couldn't find remote ref refs/heads/nope"),
        ({"tag": "v9"}, "couldn't find remote ref refs/tags/v9"),
        ({"semver": "9.x"}, "no match found for semver: 9.x"),
        ({"branch": "main", "commit": "{dev}"}, "is not in branch main"),
    ],
    ids=str,
)
def test_every_kind_of_reference(lab: Profile, referenced: dict[str, str], ref: dict[str, str], revision: str) -> None:
    source(lab, "referenced", ref={key: value.format(**referenced) for key, value in ref.items()})
    wanted = revision.format(**referenced)
    wait_said(lab, "GitRepository", "referenced", wanted, "True" if "sha1:" in wanted else "False")
    kubectl(lab, "delete", "gitrepository", "referenced", "-n", NAMESPACE)


@pytest.fixture(scope="module")
def referenced(started: Profile, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A repository with two releases on main and a branch dev; its commits."""
    folder = tmp_path_factory.mktemp("referenced")
    found = {}
    for name, ref in (("one", "main"), ("two", "main"), ("dev", "dev")):
        found[name] = commit(started, folder, {"file": name}, "referenced", ref)
    url = f"{git.url(started)}/referenced.git"
    shell(started, "git", "tag", "v1.0.0", found["one"], cwd=folder)
    shell(started, "git", "tag", "-a", "-m", "the second", "v1.1.0", found["two"], cwd=folder)
    shell(started, "git", "tag", "v2.0.0-rc.1", found["dev"], cwd=folder)
    shell(started, "git", "push", "-q", "--tags", url, cwd=folder)
    return found


def test_what_does_not_belong_into_an_artifact_is_left_out(lab: Profile, tmp_path: Path) -> None:
    files = dict.fromkeys(
        ["app/a.yaml", "app/logo.png", ".github/w.yaml", "docs/b.md", "x/skip/c", "x/d", "x/.gitignore"], "text"
    )

    def names(**spec: str) -> set[str]:
        source(lab, "ignoring", **spec)
        wait_said(lab, "GitRepository", "ignoring", "stored artifact", "True")
        artifact = look(lab, "GitRepository", "ignoring")["status"]["artifact"]
        listed = subprocess.run(["tar", "tzf", "-"], input=download(artifact["url"]), capture_output=True, check=True)
        return set(listed.stdout.decode().split())

    commit(lab, tmp_path, files, "ignoring")
    assert names() == {"app/a.yaml", "docs/b.md", "x/skip/c", "x/d"}
    assert names(ignore="/*\n!/app\n*.png\n") == {"app/a.yaml"}
    assert names(ignore="docs/\n") == {"app/a.yaml", "app/logo.png", ".github/w.yaml", "x/skip/c", "x/d"}
    kubectl(lab, "delete", "gitrepository", "ignoring", "-n", NAMESPACE)
    commit(lab, tmp_path, {**files, ".sourceignore": "docs/\n*.png\n", "x/.sourceignore": "/skip\n"}, "ignoring")
    assert names() == {"app/a.yaml", ".github/w.yaml", "x/d", ".sourceignore", "x/.sourceignore"}


def download(url: str) -> bytes:
    return httpx.get(url, trust_env=False, timeout=60).raise_for_status().content


def test_a_login_that_is_wrong_or_missing(lab: Profile, tmp_path: Path) -> None:
    commit(lab, tmp_path, {"app/all.yaml": manifests(config_map("x", a="1"))}, "locked")
    wrong = ("--from-literal=username=reader", "--from-literal=password=wrong")
    kubectl(lab, "create", "secret", "generic", "wrong", "-n", NAMESPACE, *wrong)
    for secret, words in (
        ({"secretRef": {"name": "wrong"}}, "Authentication failed for"),
        ({"secretRef": {"name": "none"}}, "failed to get secret 'flux-system/none'"),
        ({"secretRef": None}, "could not read Username"),
    ):
        source(lab, "locked", **secret)
        said = wait_said(lab, "GitRepository", "locked", words)
        assert lab.secret("git-reader") not in said
    env = lab.env()
    password = f"--from-file=password={env['FLUX_GIT_PASSWORD_FILE']}"
    kubectl(lab, "create", "secret", "generic", "right", "-n", NAMESPACE, wrong[0], password)
    source(lab, "locked", secretRef={"name": "right"})
    wait_said(lab, "GitRepository", "locked", "stored artifact", "True")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"recurseSubmodules": True}, "spec.recurseSubmodules"),
        ({"verify": {"mode": "HEAD", "secretRef": {"name": "keys"}}}, "spec.verify"),
        ({"url": "ssh://git@127.0.0.1/x.git"}, "spec.url ssh://"),
    ],
    ids=["submodules", "signatures", "ssh"],
)
def test_what_the_publisher_does_not_do_it_says(lab: Profile, spec: dict[str, object], words: str) -> None:
    source(lab, "unsupported", **spec)
    said = wait_said(lab, "GitRepository", "unsupported", words)
    assert "source-controller does" in said
    assert conditions(look(lab, "GitRepository", "unsupported"))["Stalled"]["reason"] == "NotSupported"
    kubectl(lab, "delete", "gitrepository", "unsupported", "-n", NAMESPACE)


def test_it_says_who_writes_the_status(lab: Profile, tmp_path: Path) -> None:
    commit(lab, tmp_path, {"app/all.yaml": manifests(config_map("x", a="1"))}, "honest")
    source(lab, "honest")
    wait_said(lab, "GitRepository", "honest", "stored artifact", "True")
    condition = conditions(look(lab, "GitRepository", "honest"))["SourceController"]
    assert condition["message"] == "IaC Lab's source publisher writes this status, in place of source-controller"
    title = state_of(lab)["flux"].title
    assert "IaC Lab's source publisher in source-controller's place" in title
    assert set(state_of(lab)["flux"].processes) == {"sources", "kustomize", "helm"}
    assert "image-reflector" in title.partition("Not here:")[2]


def test_an_external_artifact_is_one_folder_of_a_repository(lab: Profile, tmp_path: Path) -> None:
    """A commit elsewhere leaves its revision, and what is made of it, alone."""
    files = {f"teams/{t}/all.yaml": manifests(config_map(f"of-{t}", a="1")) for t in ("a", "b")}
    commit(lab, tmp_path, files, "mono")
    source(lab, "mono")
    ref = {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "name": "mono"}
    apply(lab, "ExternalArtifact", "team-a", {"sourceRef": ref}, **{"course.local/path": "teams/a"})
    kustomization(lab, "team-a", sourceRef={"kind": "ExternalArtifact", "name": "team-a"}, path="./")
    wait_said(lab, "Kustomization", "team-a", "Applied revision: main@sha256:", "True")
    assert deployed(lab, "of-a", "team-a") and not deployed(lab, "of-b", "team-a")
    first = look(lab, "ExternalArtifact", "team-a")["status"]["artifact"]

    files["teams/b/all.yaml"] = manifests(config_map("of-b", a="2"))
    elsewhere = commit(lab, tmp_path, files, "mono")
    wait_said(lab, "GitRepository", "mono", elsewhere, "True")
    files["teams/a/all.yaml"] = manifests(config_map("of-a", a="2"))
    commit(lab, tmp_path, files, "mono")
    wait_until(lambda: deployed(lab, "of-a", "team-a") == {"a": "2"}, "the folder's own change has arrived")

    def applied() -> str:
        return str(look(lab, "Kustomization", "team-a")["status"]["lastAppliedRevision"])

    wait_until(lambda: applied() != first["revision"], "its status says so")  # it is written after the apply
    normal = [line for line in events(lab, "Kustomization", "team-a").splitlines() if "configured" in line]
    assert len(normal) == 1, "the commit elsewhere had it applied too"

    apply(lab, "ExternalArtifact", "team-a", {"sourceRef": ref}, **{"course.local/path": "teams/c"})
    wait_said(lab, "ExternalArtifact", "team-a", "folder 'teams/c' is not in main@sha1:")


def test_a_chart_in_git_is_released_and_a_wrong_value_is_told_in_helms_words(lab: Profile, tmp_path: Path) -> None:
    chart = {
        "charts/model/Chart.yaml": "{apiVersion: v2, name: model, version: 0.3.0}",
        "charts/model/values.yaml": "{threshold: 1}",
        "charts/model/values.schema.json": json.dumps({"properties": {"threshold": {"type": "integer"}}}),
        "charts/model/templates/settings.yaml": manifests(config_map("of-chart", a="X")).replace(
            "X", "'{{ .Values.threshold }}'"
        ),
    }
    commit(lab, tmp_path, chart, "charts")
    source(lab, "charts")
    ref = {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "name": "charts"}
    apply(lab, "ExternalArtifact", "model", {"sourceRef": ref}, **{"course.local/path": "charts"})
    cluster.kube(lab).apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "helm-demo"}}])
    release = {
        "interval": SELDOM,
        "chartRef": {"kind": "ExternalArtifact", "name": "model"},
        "targetNamespace": "helm-demo",
        "releaseName": "churn",
    }
    apply(lab, "HelmRelease", "churn", {**release, "values": {"threshold": 7}})
    wait_said(lab, "HelmRelease", "churn", "install succeeded for release helm-demo/churn.v1", "True")
    assert deployed(lab, "of-chart", "helm-demo") == {"a": "7"}

    apply(lab, "HelmRelease", "churn", {**release, "values": {"threshold": "high"}})
    wait_said(lab, "HelmRelease", "churn", "got string, want integer")
    assert deployed(lab, "of-chart", "helm-demo") == {"a": "7"}, "what ran goes on"
    kubectl(lab, "delete", "helmrelease", "churn", "-n", NAMESPACE)
    wait_until(lambda: not deployed(lab, "of-chart", "helm-demo"), "the release has been uninstalled")


def test_an_external_artifact_by_hand(lab: Profile, tmp_path: Path) -> None:
    """The whole contract of a source: a tar.gz on HTTP, its digest, a revision."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        apply(lab, "ExternalArtifact", "by-hand", {})
        kustomization(lab, "by-hand", sourceRef={"kind": "ExternalArtifact", "name": "by-hand"})
        for value in ("1", "2"):
            packed = pack([File("app/all.yaml", False, manifests(config_map("made", a=value)).encode())])
            (tmp_path / f"{value}.tar.gz").write_bytes(packed)
            artifact = {
                "url": f"http://127.0.0.1:{server.server_port}/{value}.tar.gz",
                "path": f"{value}.tar.gz",
                "revision": f"v{value}@{digest(packed)}",
                "digest": digest(packed),
                "lastUpdateTime": "2026-01-01T00:00:00Z",
            }
            cluster.kube(lab).patch_status(path_of("ExternalArtifact", "by-hand"), {"artifact": artifact})
            wait_applied(lab, "by-hand", artifact["revision"])
            assert deployed(lab, "made", "by-hand") == {"a": value}
        assert "conditions" not in look(lab, "ExternalArtifact", "by-hand")["status"], "the publisher meddled"
        server.shutdown()


@pytest.mark.parametrize("program", ["sources", "kustomize", "helm"])
def test_a_killed_program_comes_back(lab: Profile, tmp_path: Path, program: str) -> None:
    name = f"killed-{program}"
    commit(lab, tmp_path, {"app/all.yaml": manifests(config_map("alive", a="1"))}, name)
    source(lab, name)
    kustomization(lab, name)
    wait_said(lab, "Kustomization", name, "Applied revision", "True")
    old = state_of(lab)["flux"].processes[program]
    psutil.Process(old).kill()
    wait_until(lambda: state_of(lab)["flux"].processes.get(program, old) != old, f"{program} has been started again")
    wait_until(lambda: state_of(lab)["flux"].state == "ready", "flux is ready again")
    last = commit(lab, tmp_path, {"app/all.yaml": manifests(config_map("alive", a="2"))}, name)
    wait_applied(lab, name, last)


def test_artifacts_move_with_the_port_and_go_with_their_source(lab: Profile, tmp_path: Path) -> None:
    first = commit(lab, tmp_path, {"app/all.yaml": manifests(config_map("moved", a="1"))}, "moved")
    source(lab, "moved")
    kustomization(lab, "moved")
    wait_applied(lab, "moved", first)
    lifecycle.down("flux", profile=lab)
    lab.new_ports(["flux.sources"])
    lifecycle.up(profile=lab)
    wait_until(
        lambda: look(lab, "GitRepository", "moved")["status"]["artifact"]["url"].startswith(flux.address(lab)),
        "the artifact is at the new address",
    )
    last = commit(lab, tmp_path, {"app/all.yaml": manifests(config_map("moved", a="2"))}, "moved")
    wait_applied(lab, "moved", last)  # the webhook goes to the new port too
    url = look(lab, "GitRepository", "moved")["status"]["artifact"]["url"]
    kubectl(lab, "delete", "gitrepository", "moved", "-n", NAMESPACE)
    wait_until(
        lambda: httpx.get(url, trust_env=False, timeout=60).status_code == 404, "the artifact is gone with its source"
    )


def test_nothing_listens_beyond_loopback_and_strangers_are_turned_away(lab: Profile, tmp_path: Path) -> None:
    commit(lab, tmp_path, {"app/all.yaml": manifests(config_map("x", a="1"))}, "guarded")
    source(lab, "guarded")
    wait_said(lab, "GitRepository", "guarded", "stored artifact", "True")
    family = processes_of(lab)
    addresses = listening(family)
    assert {address.ip for address in addresses} == {"127.0.0.1"}
    assert {lab.port(f"flux.{p}") for p in ("sources", "kustomize-metrics", "kustomize-health")} <= {
        address.port for address in addresses
    }
    assert {address.port for address in addresses} <= set(lab.ports.values()), "a port that no profile knows of"
    secrets = {path.name: path.read_text().strip() for path in (lab.root / "secrets").iterdir()}
    assert {"flux-artifacts", "flux-webhook", "git-reader"} <= secrets.keys()
    for process in family:
        shown = [name for name, secret in secrets.items() if secret in " ".join(process.cmdline())]
        assert not shown, f"{process.name()} shows {shown}"
    artifact = look(lab, "GitRepository", "guarded")["status"]["artifact"]
    assert download(artifact["url"])
    base = flux.address(lab)
    token = secrets["flux-artifacts"]
    for path in (
        artifact["path"],
        f"wrong/{artifact['path']}",
        f"{token}/../../secrets/git-reader",
        token,
        f"{token}/",
    ):
        assert httpx.get(f"{base}/{path}", trust_env=False, timeout=60).status_code == 404, path
    assert httpx.put(artifact["url"], content=b"x", trust_env=False, timeout=60).status_code == 404
    push = {"repository": {"html_url": f"{git.url(lab)}/guarded.git"}}
    forged = {"X-Hub-Signature-256": "sha256=" + "0" * 64}
    assert httpx.post(f"{base}/webhook", json=push, headers=forged, trust_env=False, timeout=60).status_code == 403
    assert httpx.post(f"{base}/webhook", json=push, trust_env=False, timeout=60).status_code == 403
    assert "requestedAt" not in json.dumps(look(lab, "GitRepository", "guarded")["metadata"].get("annotations", {}))
    modes = {p: p.stat().st_mode & 0o077 for p in (lab.root / "flux").rglob("*") if p.is_file()}
    assert not [p for p, mode in modes.items() if mode], "files that others may read"


@pytest.mark.parametrize("moment", [0.0, 0.5, 1.5], ids="{}s after the Kustomization".format)
def test_a_reset_while_it_reconciles_leaves_nothing(lab: Profile, tmp_path: Path, moment: float) -> None:
    many = manifests(*(deployment(f"d{n}", replicas=2) for n in range(40)))
    commit(lab, tmp_path, {"app/all.yaml": many}, "many")
    source(lab, "many")
    kustomization(lab, "many", wait=True)
    deadline = time.monotonic() + moment
    wait_until(lambda: time.monotonic() >= deadline, "the moment has come")
    lifecycle.reset(profile=lab)
    kinds = "gitrepositories,kustomizations,externalartifacts,deployments,pods"
    clean = {"/default", "/flux-system", "/kube-node-lease", "/kube-public", "/kube-system"}
    until = time.monotonic() + 2  # what were to come back would come within a second
    while time.monotonic() < until:
        assert not objects(lab, kinds)
        assert objects(lab, "namespaces") == clean
    assert not list((lab.root / "flux" / "artifacts").iterdir())
    assert not list((lab.root / "flux" / "mirrors").iterdir())
    assert state_of(lab)["flux"].state == "ready"
    last = commit(lab, tmp_path, {"app/all.yaml": manifests(config_map("again", a="1"))}, "many")
    source(lab, "many")
    kustomization(lab, "many")
    wait_applied(lab, "many", last)


def test_it_works_on_an_existing_cluster_and_a_reset_forgets_only_its_own(
    lab: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cluster-b` plays the cluster that somebody else runs."""
    lifecycle.up("cluster-b", profile=lab)
    monkeypatch.setenv("IACLAB_KUBECONFIG", str(cluster.kubeconfig(lab, "cluster-b")))
    guest = Profile("guest", state=tmp_path / "guest")
    try:
        lifecycle.up("flux", profile=guest)
        last = commit(guest, tmp_path / "repository", {"app/all.yaml": manifests(config_map("stays", a="1"))}, "visit")
        source(guest, "visit")
        kustomization(guest, "visit")
        wait_applied(guest, "visit", last)
        lifecycle.reset(profile=guest)
        assert not look(guest, "Kustomization", "visit") and not look(guest, "GitRepository", "visit")
        assert deployed(guest, "stays", "visit") == {"a": "1"}, "what Flux deployed is not ours to delete"
        stranger = Profile("stranger", state=tmp_path / "stranger")
        with pytest.raises(lifecycle.LabError, match="namespace flux-system, which this profile did not make"):
            lifecycle.up("flux", profile=stranger)
        lifecycle.down(profile=stranger)
    finally:
        lifecycle.down(profile=guest)
        monkeypatch.delenv("IACLAB_KUBECONFIG")
        lifecycle.reset(profile=lab)


def test_which_controllers_are_here_is_what_the_service_runs(lab: Profile) -> None:
    cast = controllers.cast(controllers.here)
    running = set(state_of(lab)["flux"].processes) - {"sources"}
    assert {f"{name}-controller" for name in running} == set(cast.programs)
