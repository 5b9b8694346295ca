"""Each check of the secrets lecture passes on what its exercise asks for, and on no state that only looks like it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from checked import Checked
from running import kubectl, wait_until

from iaclab.checks.secrets import CHECKS, ask, sealing
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.vault import api, implementation, nodes
from iaclab.show.vault import draw_access, look

pytestmark = pytest.mark.platform
GRANT = 'GRANT SELECT, UPDATE ON features TO "{{name}}"'


class World(Checked):
    """A running vault, and a folder with the learner's files."""

    checks = CHECKS

    def write(self, path: str, **body: Any) -> dict[str, Any]:
        return ask.write(self.profile, path, body)

    def policy(self, name: str, *rules: tuple[str, str]) -> None:
        text = "\n".join(f'path "{path}" {{ capabilities = [{may}] }}' for path, may in rules)
        self.write(f"sys/policies/acl/{name}", policy=text)

    def file(self, name: str, text: str, mode: int = 0o600) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def engine(self, path: str, kind: str, **options: str) -> None:
        """Mount an engine anew."""
        ask.api.ask(self.profile, "DELETE", f"sys/mounts/{path}", token=ask.client_token(self.profile))
        self.write(f"sys/mounts/{path}", type=kind, options=options or None)

    def auth(self, path: str) -> None:
        api.ask(self.profile, "DELETE", f"sys/auth/{path}", token=ask.client_token(self.profile))
        self.write(f"sys/auth/{path}", type=path)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    """A profile with a vault and a cluster."""
    profile = Profile("secrets", state=tmp_path_factory.mktemp("secrets"))
    lifecycle.up("vault", "cluster", profile=profile)
    yield profile
    lifecycle.down(profile=profile)


@pytest.fixture
def world(running: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    made = World(running, tmp_path)
    made.engine("ml", "kv", version="2")
    return made


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


def commit(folder: Path, message: str, files: dict[str, str]) -> None:
    if not (folder / ".git").exists():
        folder.mkdir(parents=True, exist_ok=True)
        git(folder, "init", "-q")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=l", "-c", "user.email=l@x", "commit", "-qm", message)


def test_the_commit_that_leaked(world: World) -> None:
    leaky = world.folder / "leaky"
    commit(leaky, "Train", {"train.py": "print()\n"})
    commit(leaky, "More epochs", {"train.py": f"print(1)\nkey = 'AKIA{'A' * 16}'\n"})
    commit(leaky, "Smaller batches", {"train.py": f"print(2)\nkey = 'AKIA{'A' * 16}'\n"})
    commit(leaky, "Read the environment", {"train.py": "print()\n"})
    log = subprocess.run(["git", "-C", str(leaky), "log", "--reverse", "--format=%H"], capture_output=True, text=True)
    first, came, after, gone = log.stdout.split()
    for right in (came, came[:7] + "\n"):
        world.file("leaked-in.txt", right)
        assert world.passes("leaked-in"), right
    for wrong in ("", came[:6], first, after, gone, "More epochs"):
        world.file("leaked-in.txt", wrong)
        assert not world.passes("leaked-in"), wrong


def test_all_three_nodes_have_to_be_open(world: World) -> None:
    assert world.passes("quorum")
    leader = api.leader(world.profile, "node-1")
    node = next(node for node in nodes.NODES if nodes.address(world.profile, node) != leader)
    api.write(world.profile, "sys/seal", token=ask.client_token(world.profile), node=node)
    try:
        assert world.seen("quorum")[node] == "sealed"
        assert not world.passes("quorum")
    finally:
        lifecycle.up("vault", profile=world.profile)
    assert world.passes("quorum")


def test_the_policy_of_the_evaluation(world: World) -> None:
    two = [("ml/data/+/tracker", '"read"'), ("ml/data/+/model-provider", '"read"')]
    world.policy("evaluation", *two)
    assert world.passes("evaluation-policy")
    wrong = {
        "only one": two[:1],
        "the whole environment": [("ml/data/dev/*", '"read"'), ("ml/data/prod/*", '"read"')],
        "may write": [(path, '"read", "update"') for path, _ in two],
        "the path of the command": [(path.replace("/data", ""), may) for path, may in two],
        "everything": [("*", '"read", "sudo"')],
    }
    for what, rules in wrong.items():
        world.policy("evaluation", *rules)
        assert not world.passes("evaluation-policy"), what


def test_the_role_of_the_ranker(world: World) -> None:
    for name in ("serving", "vault"):
        kubectl(world.profile, "create", "namespace", name)
    kubectl(world.profile, "-n", "serving", "create", "serviceaccount", "ranker")
    kubectl(world.profile, "-n", "vault", "create", "serviceaccount", "reviewer")
    binding = ["--clusterrole=system:auth-delegator", "--serviceaccount=vault:reviewer"]
    kubectl(world.profile, "create", "clusterrolebinding", "reviewer", *binding)
    world.auth("kubernetes")
    world.write(
        "auth/kubernetes/config",
        kubernetes_host=kubectl(world.profile, "config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"),
        kubernetes_ca_cert=world.profile.ca.read_text(),
        token_reviewer_jwt=ask.service_account_token(
            world.profile, "vault", "reviewer", "https://kubernetes.default.svc"
        ),
    )
    world.policy("serving-prod", ("ml/data/prod/registry", '"read"'))
    right = {
        "bound_service_account_names": "ranker",
        "bound_service_account_namespaces": "serving",
        "audience": "vault",
        "token_policies": "serving-prod",
        "token_ttl": "15m",
        "token_max_ttl": "15m",
    }
    world.write("auth/kubernetes/role/ranker", **right)
    assert world.passes("ranker-role"), world.seen("ranker-role")
    for change in (
        {"bound_service_account_names": "*"},
        {"bound_service_account_namespaces": "serving,training"},
        {"audience": ""},
        {"audience": "another"},
        {"token_policies": "admin"},
        {"token_max_ttl": "0"},
        {"token_max_ttl": "24h"},
    ):
        world.write("auth/kubernetes/role/ranker", **{**right, **change})
        assert not world.passes("ranker-role"), change


def test_a_rolled_back_secret(world: World) -> None:
    for value in ("one", "two", "three"):
        world.write("ml/data/prod/registry", data={"token": value})
    assert not world.passes("rolled-back")
    world.write("ml/data/prod/registry", data={"token": "two"})
    assert world.passes("rolled-back")
    world.write("ml/destroy/prod/registry", versions=[3])
    assert not world.passes("rolled-back")


def test_a_signed_model(world: World) -> None:
    world.engine("transit", "transit")
    world.write("transit/keys/models", type="ed25519")
    world.file("model.txt", "churn 1.4.0")
    text = base64.b64encode(b"churn 1.4.0").decode()
    world.file("model.sig", world.write("transit/sign/models", input=text)["data"]["signature"] + "\n")
    assert world.passes("signed-model")
    world.file("model.txt", "churn 1.4.1")
    assert not world.passes("signed-model")


def test_certificates_of_training(world: World) -> None:
    world.engine("pki", "pki")
    world.write("pki/root/generate/internal", common_name="ML platform", ttl="700h")
    right = {"allowed_domains": "training.svc", "allow_subdomains": True, "max_ttl": "10m"}
    world.write("pki/roles/training", **right)
    assert world.passes("training-certificates"), world.seen("training-certificates")
    for change in (
        {"max_ttl": "1h"},
        {"allow_subdomains": False},
        {"allow_bare_domains": True},
        {"allow_any_name": True},
        {"allowed_domains": "training.svc,serving.svc"},
    ):
        world.write("pki/roles/training", **{**right, "allow_bare_domains": False, "allow_any_name": False, **change})
        assert not world.passes("training-certificates"), change


def test_the_second_template(world: World) -> None:
    world.write("ml/data/prod/feature-store", data={"password": "x"})
    world.write("ml/data/prod/feature-store", data={"password": "y"})
    world.file("pod/url", "postgresql://scorer@features:5432/prod?version=2\n")
    assert world.passes("second-template")
    world.file("pod/url", "postgresql://scorer@features:5432/prod?version=1\n")
    assert not world.passes("second-template")
    world.file("pod/url", "a secret of another kind !")
    assert "secret" not in str(world.seen("second-template"))


def test_a_wrapped_secret(world: World) -> None:
    def wrap(path: str, ttl: str) -> str:
        headers = {"X-Vault-Token": ask.client_token(world.profile), "X-Vault-Wrap-TTL": ttl}
        client = api._client(world.profile.ca, world.profile.ca.stat().st_mtime_ns)
        answer = client.get(f"{nodes.address(world.profile)}/v1/{path}", headers=headers)
        return str(answer.json()["wrap_info"]["token"])

    for name in ("registry", "tracker"):
        world.write(f"ml/data/prod/{name}", data={"token": "x"})
    ticket = wrap("ml/data/prod/registry", "600s")
    world.file("for-ci.txt", ticket)
    assert world.passes("wrapped")
    assert world.passes("wrapped"), "looking must not open it"
    world.file("for-ci.txt", ticket, mode=0o644)
    assert not world.passes("wrapped")
    world.file("for-ci.txt", wrap("ml/data/prod/tracker", "600s"))
    assert not world.passes("wrapped")
    world.file("for-ci.txt", wrap("ml/data/prod/registry", "24h"))
    assert not world.passes("wrapped")
    world.file("for-ci.txt", ask.client_token(world.profile))
    assert not world.passes("wrapped")


def test_the_one_who_was_refused(world: World) -> None:
    made = world.write("auth/token/create", policies=["default"], display_name="train-churn", ttl="60s")
    api.ask(world.profile, "GET", "ml/data/prod/tracker", token=made["auth"]["client_token"])
    world.file("intruder.txt", "token-train-churn")
    assert world.passes("intruder")
    for wrong in ("", "token-operator", "train-churn"):
        world.file("intruder.txt", wrong)
        assert not world.passes("intruder"), wrong


READS = """
import hvac
import requests

def read(reader, path):
    kv = reader.secrets.kv.v2
    return kv.read_secret_version(path, mount_point="ml", raise_on_deleted_version=True)["data"]["data"]
"""
CAREFUL = (
    READS
    + """
def careful(login, path):
    reader, again = login(), False
    for left in (3, 2, 1, 0):
        try:
            return read(reader, path)
        except hvac.exceptions.Forbidden:
            if again:
                raise
            reader, again = login(), True
        except requests.ConnectionError:
            if not left:
                raise
"""
)
CARELESS = {
    "as it came": READS + "def careful(login, path):\n    return read(login(), path)\n",
    "two logins, nothing read": "def careful(login, path):\n    login(), login()\n    return {'token': 'x'}\n",
    "again and again": CAREFUL.replace("if again:", "if False:").replace("(3, 2, 1, 0)", "range(20, -1, -1)"),
    "gives up at a cut": CAREFUL.replace("if not left:", "if True:"),
    "no end at a cut": CAREFUL.replace("(3, 2, 1, 0)", "range(20, -1, -1)"),
    "a new login at a cut": CAREFUL.replace("if not left:\n                raise", "reader = login()"),
    "what is not there": CAREFUL.replace("except requests.ConnectionError:", "except Exception:"),
    "a file that ends": "raise SystemExit(0)",
}


def test_a_careful_reader(world: World) -> None:
    world.write("ml/data/prod/registry", data={"token": "canary-careful"})
    assert not world.passes("careful"), "there is no file"
    world.file("careful.py", CAREFUL)
    assert world.passes("careful"), world.seen("careful")
    for what, text in CARELESS.items():
        world.file("careful.py", text)
        assert not world.passes("careful"), what
        assert "canary" not in str(CHECKS["careful"].run(world.profile)), what


def test_a_rotation_that_leaves_no_secret(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "_ARRIVES", 3)
    world.engine("ways", "kv", version="2")
    kubectl(world.profile, "create", "namespace", "ways")
    assert not world.passes("way"), "nothing renders it"
    script = "while sleep 0.2; do vault kv get -mount=ways -field=value key > new 2> why && mv new ways.rendered; done"
    command = ["bash", "-c", f"umask 077; {script}"]
    follower = subprocess.Popen(command, cwd=world.folder, env={**os.environ, **world.profile.env()})
    copies = (
        "while sleep 0.2; do kubectl -n ways create secret generic copy --from-file=value=ways.rendered"
        " --dry-run=client -o yaml | kubectl apply -f - > copied 2>&1; done"
    )
    try:
        monkeypatch.setattr(sealing, "_ARRIVES", 30)
        assert world.passes("way"), world.seen("way")
        second = subprocess.Popen(["bash", "-c", copies], cwd=world.folder, env={**os.environ, **world.profile.env()})
        try:
            assert world.seen("way")["Secrets that hold it"] == ["copy"]
            assert not world.passes("way")
        finally:
            second.kill()
            second.wait()
    finally:
        follower.kill()
        follower.wait()
    value = ask.read(world.profile, "ways/data/key")["data"]["value"]
    world.file("ways.rendered", value)
    monkeypatch.setattr(sealing, "_ARRIVES", 3)
    assert not world.passes("way"), "a copy by hand follows no rotation"


def test_a_key_that_left(world: World) -> None:
    keys = {who: f"age1{who}{'q' * 20}" for who in ("platform", "oncall")}
    for who, key in keys.items():
        world.file(f"{who}.agekey", f"# created: now\n# public key: {key}\nAGE-SECRET-KEY-X\n")

    def state(rule: list[str], file: list[str], value: str) -> dict[str, str]:
        recipients = [{"recipient": keys[who]} for who in file]
        secret = {"stringData": {"token": value}, "sops": {"age": recipients}}
        rules = {"creation_rules": [{"path_regex": "^prod/", "age": ",".join(keys[who] for who in rule)}]}
        return {"prod/registry.yaml": json.dumps(secret), ".sops.yaml": json.dumps(rules)}

    both, one = ["platform", "oncall"], ["platform"]
    commit(world.folder / "config", "First", state(both, both, "ENC[1]"))

    def now(*arguments: Any) -> bool:
        for name, text in state(*arguments).items():
            world.file(f"config/{name}", text)
        return world.passes("left")

    assert now(one, one, "ENC[2]")
    assert not now(both, one, "ENC[2]")
    assert not now(one, both, "ENC[2]")
    assert not now(one, one, "ENC[1]"), "the data key is the old one"
    assert not now(one, one, "in plain text")
    assert not now([], ["platform"], "ENC[2]")


def test_a_guarded_repository(world: World) -> None:
    guarded = world.folder / "guarded"
    hook = guarded / ".git/hooks/pre-commit"
    commit(guarded, "Train", {"train.py": "import os\nkey = os.environ['KEY']\n"})
    assert not world.passes("guarded"), "no hook"
    hook.write_text("#!/bin/sh\nexec detect-secrets-hook\n")
    hook.chmod(0o755)
    assert world.passes("guarded")
    hook.chmod(0o644)
    assert not world.passes("guarded")
    hook.write_text("#!/bin/sh\nexit 0  # detect-secrets-hook\n")
    hook.chmod(0o755)
    commit(guarded, "With a key", {"train.py": f"key = 'AKIA{'B' * 16}'"})
    commit(guarded, "Without", {"train.py": "import os\nkey = os.environ['KEY']\n"})
    assert not world.passes("guarded"), "the key is in the history"


def test_the_policy_of_those_on_call(world: World) -> None:
    right = [
        ("sys/policies/acl", '"list"'),
        ("sys/policies/acl/*", '"read", "list"'),
        ("ml/metadata/*", '"read", "list"'),
    ]
    world.policy("oncall", *right)
    assert world.passes("oncall"), world.seen("oncall")
    for what, rules in {
        "reads values": [*right, ("ml/data/*", '"read"')],
        "no metadata": right[:2],
        "writes policies": [*right[1:], ("sys/policies/acl/*", '"read", "list", "update"')],
        "everything": [("*", '"read", "list", "update", "sudo"')],
    }.items():
        world.policy("oncall", *rules)
        assert not world.passes("oncall"), what


def test_the_chat_service(world: World) -> None:
    world.write("ml/data/prod/model-provider", data={"key": "x"})
    world.policy("chat-prod", ("ml/data/prod/model-provider", '"read"'))
    world.policy("night-shift", ("ml/data/prod/model-provider", '"deny"'))
    world.auth("approle")
    world.write("auth/approle/role/chat", token_policies="chat-prod")
    assert world.passes("chat-again"), world.seen("chat-again")
    for policies in ("chat-prod,night-shift", "admin", "night-shift"):
        world.write("auth/approle/role/chat", token_policies=policies)
        assert not world.passes("chat-again"), policies
    world.policy("chat-prod", ("ml/data/prod/*", '"read"'))
    world.write("auth/approle/role/chat", token_policies="chat-prod")
    assert not world.passes("chat-again"), "it may read more than before"


def test_users_of_the_online_store(world: World) -> None:
    world.engine("database", "database")
    right = {
        "db_name": "features",
        "default_ttl": "5m",
        "max_ttl": "1h",
        "creation_statements": ["CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'", GRANT],
        "revocation_statements": ['DROP ROLE IF EXISTS "{{name}}"'],
    }
    world.write("database/roles/serving", **right)
    assert world.passes("serving-users"), world.seen("serving-users")
    for change in (
        {"default_ttl": "1h"},
        {"max_ttl": "24h"},
        {"creation_statements": [GRANT.replace("SELECT, UPDATE", "ALL")]},
        {"creation_statements": [GRANT.replace(", UPDATE", "")]},
    ):
        world.write("database/roles/serving", **{**right, **change})
        assert not world.passes("serving-users"), change


def test_a_vault_of_ones_own(world: World) -> None:
    port, raft = (world.profile.new_ports(["own", "own-raft"])[name] for name in ("own", "own-raft"))
    address = f"http://127.0.0.1:{port}"
    storage = {"raft": {"path": str(world.folder), "node_id": "own"}}
    listener = {"tcp": {"address": f"127.0.0.1:{port}", "tls_disable": True}}
    settings = {
        "storage": storage,
        "listener": listener,
        "api_addr": address,
        "cluster_addr": f"http://127.0.0.1:{raft}",
    }
    world.file("own.json", json.dumps(settings))
    world.file("own/address", address)
    binary = implementation.binary(implementation.of(world.profile))
    server = subprocess.Popen(
        [binary, "server", "-config=own.json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with httpx.Client(base_url=f"{address}/v1/sys", timeout=30, trust_env=False) as own:
            wait_until(lambda: _answers(own), "your own vault answers")
            assert not world.passes("unsealed"), "it has not been initialised"
            made = own.post("/init", json={"secret_shares": 3, "secret_threshold": 2}).json()
            assert not world.passes("unsealed"), "it is sealed"
            for key in made["keys_base64"][:2]:
                own.post("/unseal", json={"key": key}).raise_for_status()
            wait_until(lambda: world.passes("unsealed"), "it is open")
    finally:
        server.kill()
        server.wait()
    assert not world.passes("unsealed"), "it does not run"


def _answers(own: httpx.Client) -> bool:
    try:
        return own.get("/seal-status").status_code == 200
    except httpx.HTTPError:
        return False


def test_no_check_says_a_secret(world: World) -> None:
    for value in ("canary-one", "canary-two", "canary-three", "canary-two"):
        world.write("ml/data/prod/registry", data={"token": value})
    said = CHECKS["rolled-back"].run(world.profile)
    assert said.passed
    assert "canary" not in f"{said}{said.seen}{said._repr_html_()}"


def test_the_picture_shows_what_the_vault_allows(world: World) -> None:
    for name in ("dev/registry", "prod/registry"):
        world.write(f"ml/data/{name}", data={"token": "canary"})
    world.policy("reader", ("ml/data/prod/registry", '"read"'))
    world.policy("writer", ("ml/data/dev/*", '"create", "update"'))
    world.policy("locked-out", ("ml/data/*", '"deny"'))
    access = look("ml", world.profile)
    assert access.secrets == ["dev/registry", "prod/registry"]
    assert access.allowed["prod/registry", "reader"] == "read"
    assert access.allowed["dev/registry", "writer"] == "write"
    assert access.allowed["dev/registry", "admin"] == "all"
    assert ("dev/registry", "reader") not in access.allowed
    assert "locked-out" not in access.policies
    picture = draw_access(access)
    assert "prod/registry: admin (read + write)" in picture.text
    assert "canary" not in picture.svg()
