"""moto's data on disk: every service that can be pickled, in one file."""

from __future__ import annotations

import copyreg
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import moto
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from moto import backends
from moto.core.base_backend import BackendDict

_SAVE_AFTER = 0.2  # seconds: several changes in a row are written once


class Kept:
    """The data of moto's services in one file.

    Args:
        file: where; read once, replaced after every change.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.changing = threading.Lock()  # held by every request that may change something
        self._changed = threading.Event()
        self._unkept: set[str] = set()

    def load(self) -> None:
        """Put what is on disk into moto; a file of another moto version is put aside."""
        if not self.file.exists():
            return
        try:
            version, kept = pickle.loads(self.file.read_bytes())  # ours: mode 0600, in the profile's folder
            if version != moto.__version__:
                raise ValueError(f"written by moto {version}, this is {moto.__version__}")
        except Exception as error:
            aside = self.file.with_suffix(".old")
            self.file.replace(aside)
            print(f"the kept data cannot be read ({error}): starting empty, see {aside}", flush=True)
            return
        for (service, account, region), backend in kept.items():
            dict.__setitem__(backends.get_backend(service)[account], region, backend)

    def save(self) -> None:
        """Write everything that can be written; a service whose data cannot be is named once in the log."""
        aside = self.file.with_suffix(".new")
        with self.changing:
            kept = {}
            used: Any = BackendDict
            for services in list(used._instances):
                for account, region, backend in list(services.iter_backends()):
                    if self._can_keep(services.service_name, backend):
                        kept[services.service_name, account, region] = backend
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                pickle.dump((moto.__version__, kept), out)
            aside.replace(self.file)

    def _can_keep(self, service: str, backend: object) -> bool:
        try:
            pickle.dumps(backend)
        except Exception as error:
            if service not in self._unkept:
                self._unkept.add(service)
                print(f"{service} is not kept when the server stops: {error}", flush=True)
            return False
        return True

    def changed(self) -> None:
        """Have everything written soon."""
        self._changed.set()

    def keep_saving(self) -> None:
        """Write after changes, for ever."""
        while self._changed.wait():
            threading.Event().wait(_SAVE_AFTER)
            self._changed.clear()
            try:
                self.save()
            except Exception as error:  # a full disk, or data that a reader has changed meanwhile: again
                print(f"the data cannot be written: {error}", flush=True)
                self._changed.set()


def _private_key(pem: bytes) -> Any:
    return serialization.load_pem_private_key(pem, None)


def _as_pem(key: Any) -> tuple[Any, ...]:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return _private_key, (pem,)


for _example in (rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256R1())):
    copyreg.pickle(type(_example), _as_pem)  # the keys of KMS: their classes have no public name
