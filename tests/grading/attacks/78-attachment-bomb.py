"""An attachment that is small and unpacks to much: a ZIP in ZIPs, a picture of 60,000 × 60,000 points."""

from __future__ import annotations

import base64
import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

ATTACK = {"tries": "attachments are a zip bomb and a picture that unpacks to 10 GB", "aside": "attachment"}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> None:
    del values
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("zeros", b"\0" * (50 << 20))
    (folder / "bomb.zip").write_bytes(packed.getvalue())
    notebook["cells"][0]["attachments"] = {
        "bomb.zip": {"application/zip": base64.b64encode(packed.getvalue()).decode()},
        "bomb.png": {"image/png": base64.b64encode(_picture(60_000)).decode()},
    }
    notebook["cells"][0]["source"] += "\n\n![bomb](attachment:bomb.png)"


def _picture(size: int) -> bytes:
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(b"\0" * (size * 3 + 1)) for _ in range(50)) + packer.flush()
    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
