"""A real container registry on loopback (CNCF Distribution), and images made by hand for it."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from iaclab.platform.profile import HOST
from iaclab.tools.catalogue import arch

REGISTRY = "registry.test"  # in the references of the catalogue: only a mirror knows it
MEMBER = "usr/local/bin/greeter"
OTHER = {"amd64": "arm64", "arm64": "amd64"}[arch()]
_OCI = "application/vnd.oci.image"
_ACCEPT = ", ".join([f"{_OCI}.index.v1+json", f"{_OCI}.manifest.v1+json"])


class Registry:
    """Runs `oci-registry` on a free port, with its images in `data`.

    Args:
        program: the binary.
        folder: for its configuration and log.
        data: its storage; default: in `folder`.
        settings: more of its configuration: `auth`, or `tls` of `http`.
    """

    def __init__(self, program: Path, folder: Path, data: Path | None = None, **settings: dict[str, Any]) -> None:
        self.data = data or folder / "data"
        self._program, self._folder, self._settings = program, folder, settings
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Registry:
        self._folder.mkdir(parents=True, exist_ok=True)
        log, tls = self._folder / "log", self._settings.get("tls")
        config = {
            "version": 0.1,
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": str(self.data)}, "delete": {"enabled": True}},
            "http": {"addr": f"{HOST}:0", "secret": "s", **({"tls": tls} if tls else {})},
            **{name: value for name, value in self._settings.items() if name != "tls"},
        }
        (self._folder / "config.json").write_text(json.dumps(config))
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [self._program, "serve", self._folder / "config.json"],
                stdout=file, stderr=file, stdin=subprocess.DEVNULL, env={"OTEL_TRACES_EXPORTER": "none"},
            )  # fmt: skip
        end = time.monotonic() + 180
        while (mark := f"listening on {HOST}:") not in (text := log.read_text()):
            assert self._process.poll() is None and time.monotonic() < end, text
            time.sleep(0.02)
        port = text.split(mark)[1].split()[0].strip('",')
        self.url = f"{'https' if tls else 'http'}://{'localhost' if tls else HOST}:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def blob(self, name: str, body: bytes, kind: str = "layer.v1.tar+gzip", **more: Any) -> dict[str, Any]:
        """Push a blob; returns its descriptor."""
        digest = digest_of(body)
        begun = httpx.post(f"{self.url}/v2/{name}/blobs/uploads/", timeout=60).raise_for_status()
        where = httpx.URL(self.url).join(begun.headers["Location"])
        httpx.put(where.copy_merge_params({"digest": digest}), content=body, timeout=60).raise_for_status()
        return {"mediaType": f"{_OCI}.{kind}", "digest": digest, "size": len(body), **more}

    def manifest(self, name: str, document: dict[str, Any], tag: str = "") -> dict[str, Any]:
        """Push a manifest or index by its digest, or by a tag; returns its descriptor."""
        body = json.dumps(document).encode()
        headers = {"Content-Type": document["mediaType"]}
        url = f"{self.url}/v2/{name}/manifests/{tag or digest_of(body)}"
        httpx.put(url, content=body, headers=headers, timeout=60).raise_for_status()
        return {"mediaType": document["mediaType"], "digest": digest_of(body), "size": len(body)}

    def image(self, name: str, layers: list[bytes], arch: str = arch(), tag: str = "") -> dict[str, Any]:
        """Push an image for one platform; returns its descriptor, for an index."""
        platform = {"os": "linux", "architecture": arch}
        config = self.blob(name, json.dumps(platform).encode(), "config.v1+json")
        document = {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": config,
            "layers": [self.blob(name, layer) for layer in layers],
        }
        return {**self.manifest(name, document, tag), "platform": platform, "document": document}

    def index(self, name: str, images: list[dict[str, Any]], tag: str = "v1.2.3") -> str:
        """Push an index of images; returns its digest."""
        entries = [{key: value for key, value in image.items() if key != "document"} for image in images]
        document = {"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": entries}
        return str(self.manifest(name, document, tag)["digest"])

    def read(self, path: str) -> bytes | None:
        """What it answers to a GET of this path, if anything."""
        answer = httpx.get(self.url + path, headers={"Accept": _ACCEPT}, timeout=60)
        return answer.content if answer.status_code == 200 else None


class Front(dict[str, bytes]):
    """The files of a mirror that stands in front of a registry: its own, then what the registry has at that path."""

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._registry = registry

    def get(self, path: str, default: Any = None) -> Any:
        return self[path] if path in self else self._registry.read(path)


@dataclass(frozen=True)
class Pushed:
    """An image in the registry, for two platforms; `layers` are those for this machine, the lowest first."""

    repository: str
    digest: str
    manifest: str
    layers: list[str]

    @property
    def entry(self) -> str:
        """The line of a catalogue that names it."""
        return f'image = {{ ref = "{REGISTRY}/{self.repository}", member = "{MEMBER}" }}\n'

    def path(self, kind: str, reference: str) -> str:
        """Where the mirror, or the registry behind it, has a part of the image."""
        return f"/v2/{REGISTRY}/{self.repository}/{kind}/{reference}"


def push(registry: Registry, layers: list[bytes], repository: str = "", tag: str = "v1.2.3") -> Pushed:
    """Push an image with these layers for this machine, and another one for the other; beside them an attestation."""
    repository = repository or f"tools/{uuid.uuid4().hex}"
    name = f"{REGISTRY}/{repository}"
    attestation = registry.image(name, [layer(file("attestation.json"))], "unknown")
    attestation["platform"] = {"os": "unknown", "architecture": "unknown"}
    here = registry.image(name, layers)
    other = registry.image(name, [layer(file(MEMBER, b"for another machine"))], OTHER)
    digest = registry.index(name, [attestation, other, here], tag)
    return Pushed(repository, digest, here["digest"], [blob["digest"] for blob in here["document"]["layers"]])


Entry = tuple[tarfile.TarInfo, bytes]


def layer(*entries: Entry, kind: str = "gz") -> bytes:
    """A layer with these entries, compressed unless `kind` is empty."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{kind}") as archive:
        for about, content in entries:
            archive.addfile(about, io.BytesIO(content))
    return out.getvalue()


def file(name: str, content: bytes = b"", mode: int = 0o755) -> Entry:
    about = tarfile.TarInfo(name)
    about.size, about.mode = len(content), mode
    return about, content


def folder(name: str) -> Entry:
    return special(name, tarfile.DIRTYPE)


def special(name: str, kind: bytes, link: str = "") -> Entry:
    """A folder, a link, a device."""
    about = tarfile.TarInfo(name)
    about.type, about.linkname, about.mode = kind, link, 0o755
    return about, b""


def digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
