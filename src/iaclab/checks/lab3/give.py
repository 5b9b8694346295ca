"""What the lab gives: the flawed platform and the variants, as files in the work folder. What is there stays."""

from __future__ import annotations

import shutil
from pathlib import Path

from iaclab.checks.lab3.cases import BASE, HERE, Cases, manifests, modules, plans, visible


def platform(folder: Path) -> list[Path]:
    """Copy the flawed platform; returns its files. One that is there already is not touched."""
    made = []
    for source in sorted((HERE / "flawed").rglob("*")):
        target = folder / source.relative_to(HERE / "flawed")
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                shutil.copyfile(source, target)
            made.append(target.relative_to(folder))
    return made


def variants(folder: Path) -> list[Path]:
    """Write the variants as `variants/<what>/<faulty or right>/<name>/`; returns their folders."""
    everything: dict[str, Cases] = {
        "modules": modules(visible()),
        "plans": plans(visible()),
        "manifests": manifests(visible()),
    }
    made = []
    for what, cases in everything.items():
        for case in cases.all:
            if case.name == BASE:
                continue
            place = folder / "variants" / what / ("right" if case.is_right else "faulty") / case.name
            place.mkdir(parents=True, exist_ok=True)
            for name, text in case.files.items():
                (place / name).write_text(text)
            made.append(place.relative_to(folder))
    return made
