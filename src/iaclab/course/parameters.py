"""What a run may set in the lessons: the team's name, the GPU type, how many GPUs.

A lesson that takes them has one cell with the tag `parameters`, which assigns defaults; papermill puts the values that
were given into a cell after it. Others run as they are. The cell below says with `bounds` which values its story bears.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from iaclab.errors import LabError
from iaclab.mlplatform.accelerators import MAX_PER_NODE, accelerator, gpu_hours_cost
from iaclab.platform.kube import Manifest
from iaclab.platform.node_pools import GPU

_TEAM = re.compile(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?")  # it becomes a namespace, and the beginning of node names
_NOT_A_TEXT = {"false", "n", "no", "null", "off", "on", "true", "y", "yes"}  # in YAML, without quotes
_MOST = 64  # GPUs: eight nodes
_SPARE = 8  # GPUs that other pods of a lesson ask for


@dataclass(frozen=True)
class Parameters:
    """Values for a run; what is `None` stays as the lesson has it.

    Args:
        team: the name of a namespace.
        gpu: an accelerator of the catalogue, e.g. ``h100-80gb``.
        scale: how many GPUs, 1 to 64.

    Raises:
        LabError: a value that no lesson could work with.
    """

    team: str | None = None
    gpu: str | None = None
    scale: int | None = None

    def __post_init__(self) -> None:
        if self.team is not None and (not _TEAM.fullmatch(self.team) or self.team in _NOT_A_TEXT):
            raise LabError(
                f"'{self.team}' is not a team's name.",
                why="It has lower-case letters, digits and dashes, begins with a letter, is at most 30 long, "
                "and is no word that YAML takes for a value (yes, off, null …).",
                mend="make course TEAM=vision",
            )
        if self.gpu is not None:
            accelerator(self.gpu)
        if self.scale is not None and not 1 <= self.scale <= _MOST:
            raise LabError(f"A scale of {self.scale} is not from 1 to {_MOST} GPUs.", mend="make course SCALE=8")

    def given(self) -> dict[str, str | int]:
        """Those that have a value."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def taken_by(self, notebook: Path) -> dict[str, str | int]:
        """Those that this notebook has a place for."""
        places = names(notebook)
        return {name: value for name, value in self.given().items() if name in places}


def names(notebook: Path) -> Iterable[str]:
    """The names that the notebook's cell tagged `parameters` assigns; none where there is no such cell."""
    import papermill

    return list(papermill.inspect_notebook(str(notebook)))


def bounds(
    *,
    team: str | None = None,
    gpu: str | None = None,
    gpus: int | None = None,
    most: int = _MOST,
    dollars: float | None = None,
    taken: Collection[str] = (),
) -> None:
    """Stop a lesson before values break what it tells.

    Args:
        team, gpu: as `Parameters` takes them.
        gpus: how many GPUs the lesson makes of its scale.
        most: the most GPUs that it has room for.
        dollars: what they may cost an hour.
        taken: names that it uses for something else.

    Raises:
        LabError: a value that no lesson could work with, or this one could not.
    """
    Parameters(team, gpu, gpus)
    if team in taken:
        raise LabError(
            f"The team cannot be called '{team}' in this lesson.",
            why="The lesson gives that name to something else.",
            mend="make course TEAM=vision   # in the notebook: the cell that says team = …",
        )
    if gpus is not None and gpus > most:
        raise LabError(
            f"This lesson has room for {most} GPUs, and these values ask for {gpus}.",
            mend=f"make course SCALE={most}   # in the notebook: the cell that says scale = …",
        )
    if gpu and gpus and dollars is not None and (cost := gpu_hours_cost(gpu, gpus, 1)) > dollars:
        raise LabError(
            f"{gpus} × {gpu} cost {cost:g} dollars an hour, and this lesson's limit is {dollars:g}.",
            why=f"Its modules refuse what is dearer. One {gpu} costs {gpu_hours_cost(gpu, 1, 1):g}.",
            mend="make course GPU=l40s   # or a smaller SCALE; in the notebook: the cell that says gpu = …",
        )


def room_for(gpu: str | None, gpus: int) -> str:
    """See to it that the cluster has so many GPUs of a kind to spare; returns the kind's name in node labels.

    Nodes are added where there are too few. `None` is any kind: its name is empty, and the few that a lesson asks for
    by itself are there.

    Raises:
        LabError: the cluster cannot be asked, or the nodes do not get ready.
    """
    if gpu is None and gpus <= _SPARE:
        return ""
    from iaclab.mlplatform import api, node_pools

    cluster, product = api.connect(), accelerator(gpu).product if gpu else ""
    name = f"more-{gpu or 'gpus'}"
    missing = gpus + _SPARE - sum(_gpus(node, product, but=name) for node in cluster.items("/api/v1/nodes"))
    if missing > 0:
        pool = node_pools.NodePool(name, gpu or "a100-80gb", node_count=-(-missing // MAX_PER_NODE))
        node_pools.put(cluster, pool)
        print(f"nodes     {', '.join(pool.node_names)}: {pool.total_gpus} × {pool.accelerator} beside what was there")
    return product


def _gpus(node: Manifest, product: str, but: str) -> int:
    """The GPUs of a node of this product (empty: any) that is not of the pool `but`."""
    labels = node["metadata"].get("labels", {})
    if product not in ("", labels.get("nvidia.com/gpu.product")) or labels.get("node.course.local/pool") == but:
        return 0
    return int(node["status"].get("allocatable", {}).get(GPU, 0))
