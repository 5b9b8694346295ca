"""Flux's controllers: which of them run here, and why the others do not.

kustomize-controller and helm-controller can be built. The others are officially in container images only: those whose
programs have been brought here (`iaclab tools install flux-source-controller …`) run, with their CRDs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from iaclab import tools
from iaclab.tools.catalogue import catalogue

Find = Callable[[str], Path | None]  # a tool's path by its name in the catalogue, `None` where it is not here


@dataclass(frozen=True)
class Controller:
    """One of Flux's controllers.

    Args:
        tool, crds: its program, and the CRDs of its objects, in the catalogue.
        needs: another controller without which it can do nothing.
    """

    name: str
    tool: str
    crds: str
    needs: str = ""


KUSTOMIZE = Controller("kustomize-controller", "flux-kustomize-controller", "flux-kustomize-crds")
SOURCE = Controller("source-controller", "flux-source-controller", "flux-source-crds")
OTHERS = (
    Controller("helm-controller", "flux-helm-controller", "flux-helm-crds"),
    Controller("notification-controller", "flux-notification-controller", "flux-notification-crds"),
    Controller("image-reflector-controller", "flux-image-reflector-controller", "flux-image-reflector-crds"),
    Controller(
        "image-automation-controller",
        "flux-image-automation-controller",
        "flux-image-automation-crds",
        needs="image-reflector-controller",
    ),
)


@dataclass(frozen=True)
class Cast:
    """Who plays: programs by controller, folders of CRDs, and for every controller that is absent, why."""

    programs: dict[str, Path]
    crds: tuple[Path, ...]
    absent: dict[str, str]

    @property
    def publishes(self) -> bool:
        """Whether IaC Lab's source publisher stands in for source-controller."""
        return SOURCE.name not in self.programs


def cast(find: Find) -> Cast:
    """Decide who runs. `find` is asked for `flux-kustomize-controller` and the CRDs of it and of the sources too."""
    programs, crds, absent = {}, [], {}
    for controller in (KUSTOMIZE, SOURCE, *OTHERS):
        program, objects = find(controller.tool), find(controller.crds)
        if objects is not None and controller in (KUSTOMIZE, SOURCE):
            crds.append(objects)  # the publisher has the sources' objects too
        if program is None or objects is None:
            absent[controller.name] = f"{controller.tool if program is None else controller.crds} is not here"
        elif controller.needs in absent:
            absent[controller.name] = f"it needs {controller.needs}"
        else:
            programs[controller.name] = program
            if objects not in crds:
                crds.append(objects)
    return Cast(programs, tuple(crds), absent)


def here(name: str) -> Path | None:
    """Where a tool is, without installing it."""
    installed = tools.find(name) if name in catalogue() else None
    return installed.path if installed else None


def title(found: Cast) -> str:
    """One line for `iaclab status`."""
    runs = ["kustomize-controller", *(name for name in found.programs if name != "kustomize-controller")]
    if found.publishes:
        runs.insert(1, "IaC Lab's source publisher in source-controller's place")
    absent = [name.removesuffix("-controller") for name in found.absent if name != "kustomize-controller"]
    why = "they come in container images only, which were not fetched; `iaclab doctor` says more"
    reason = f". Not here: {', '.join(absent)}-controller ({why})" if absent else ""
    return f"Flux: {', '.join(runs)}{reason}"
