"""`mlplatform_cluster`: a team's share of the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tf.iface import CreateContext, DeleteContext, ImportContext, PlanContext, ReadContext, Resource, UpdateContext
from tf.schema import Attribute, Schema
from tf.types import Bool, Map, Number, Set, String, Unknown
from tf.utils import Diagnostics

from iaclab.errors import LabError
from iaclab.terraform_provider.fields import (
    State,
    check_name,
    check_quantity,
    check_timeouts,
    check_whole,
    known,
    nothing,
    or_null,
    same_quantity,
    seconds,
    tell,
    timeouts,
    told,
    unchanged,
)

if TYPE_CHECKING:
    from iaclab.mlplatform.teams import Team
    from iaclab.terraform_provider.provider import MlPlatform

_QUANTITIES = ("cpu_quota", "memory_quota", "container_cpu", "container_memory")
_CREATE = _DELETE = "60s"


class Cluster(Resource):  # type: ignore[misc]
    """A team's namespaces, quotas, defaults and account."""

    def __init__(self, provider: MlPlatform) -> None:
        self.provider = provider

    @classmethod
    def get_name(cls) -> str:
        return "cluster"

    @classmethod
    def get_schema(cls) -> Schema:
        per_namespace = "that the pods of one namespace may request together. No value: no limit."
        return Schema(
            version=1,
            description="A team's share of the cluster: namespaces, each with a ResourceQuota and a LimitRange, and a"
            " service account that may edit them. Destroying it deletes the namespaces with everything in them.",
            attributes=[
                Attribute("name", String(), "The team's name, a DNS label.", required=True, requires_replace=True),
                Attribute(
                    "namespaces",
                    Set(String()),
                    "Names of the team's namespaces, one at least. One that is taken away is deleted.",
                    required=True,
                ),
                Attribute("gpu_quota", Number(), f"GPUs {per_namespace} 0: none at all.", optional=True),
                Attribute("cpu_quota", String(), f"CPUs {per_namespace}", optional=True),
                Attribute("memory_quota", String(), f"Memory {per_namespace}", optional=True),
                Attribute(
                    "container_cpu",
                    String(),
                    "CPU request of a container that names none.",
                    optional=True,
                    computed=True,
                    default="500m",
                ),
                Attribute(
                    "container_memory",
                    String(),
                    "Memory request of a container that names none.",
                    optional=True,
                    computed=True,
                    default="1Gi",
                ),
                Attribute("labels", Map(String()), "Labels of each namespace.", optional=True),
                Attribute("id", String(), "The team's name.", computed=True),
                Attribute("service_account", String(), "The team's account, `namespace/name`.", computed=True),
                Attribute(
                    "in_sync",
                    Bool(),
                    "Whether all namespaces have the same settings. Changed by hand in some of them, they do not, and"
                    " the next apply mends it.",
                    computed=True,
                ),
                Attribute("api_server", String(), "URL of the API server.", computed=True),
                Attribute("token", String(), "The account's bearer token.", computed=True, sensitive=True),
                Attribute("kubeconfig", String(), "A kubeconfig for the account.", computed=True, sensitive=True),
            ],
            block_types=[timeouts(create=_CREATE, update=_CREATE, delete=_DELETE)],
        )

    def validate(self, diags: Diagnostics, type_name: str, config: State) -> None:
        super().validate(diags, type_name, config)
        check_name(diags, config, "name", "The team's name")
        check_whole(diags, config, "gpu_quota", 0, 100_000)
        for field in _QUANTITIES:
            check_quantity(diags, config, field)
        check_timeouts(diags, config)
        namespaces = config.get("namespaces")
        if namespaces == []:
            diags.add_error("namespaces is empty", "A team needs one namespace at least.", path=["namespaces"])
        for namespace in namespaces if known(namespaces) else []:
            check_name(diags, {"namespaces": namespace}, "namespaces", "The namespace")

    def plan(self, ctx: PlanContext, current: State | None, planned: State) -> State:
        name, namespaces = planned["name"], planned["namespaces"]
        planned["in_sync"] = True
        if known(name):
            planned |= _named(name)
        if current is None:
            return planned
        for field in _QUANTITIES:
            if same_quantity(current[field], planned[field]):
                planned[field] = current[field]  # 1024Mi and 1Gi: nothing to change
        moved = "namespaces" in ctx.changed_fields and (
            not known(namespaces) or Unknown in namespaces or min(namespaces) != min(current["namespaces"] or [""])
        )
        if moved or not current["token"] or "name" in ctx.changed_fields:  # its kubeconfig names the first namespace
            planned |= {"token": Unknown, "kubeconfig": Unknown}
        return planned

    @told(nothing)
    def create(self, ctx: CreateContext, planned: State) -> State | None:
        from iaclab.mlplatform import teams

        api, team = self.provider.api(), _team(planned)
        teams.refuse_foreign(api, team)
        if teams.get(api, team.name):
            ctx.diagnostics.add_warning(
                f"Team {team.name} existed already",
                "Its namespaces carry this team's label, as after an apply that was interrupted; it was taken over.",
            )
        try:
            teams.put(api, team, seconds(planned, "create", _CREATE))
        except LabError as error:
            tell(ctx.diagnostics, error)
            return self._with_account(planned) if teams.get(api, team.name) else None
        return self._with_account(planned)

    @told(unchanged)
    def read(self, ctx: ReadContext, current: State) -> State | None:
        return self._there(current["name"], current)

    @told(nothing)
    def update(self, ctx: UpdateContext, current: State, planned: State) -> State | None:
        from iaclab.mlplatform import teams

        teams.put(self.provider.api(), _team(planned), seconds(planned, "update", _CREATE))
        return self._with_account(planned)

    @told(unchanged)
    def delete(self, ctx: DeleteContext, current: State) -> State | None:
        from iaclab.mlplatform import teams

        teams.delete(self.provider.api(), current["name"], seconds(current, "delete", _DELETE))
        return None

    @told(nothing)
    def import_(self, ctx: ImportContext, id: str) -> State | None:
        state = self._there(id, None)
        if state is None:
            raise LabError(
                f"There is no team '{id}'.", "No namespace carries its label.", "kubectl get ns --show-labels"
            )
        return state

    def upgrade(self, ctx: Any, version: int, old: State) -> State:
        return old

    def _there(self, name: str, current: State | None) -> State | None:
        """The state as the cluster holds it; `current` decides how equal values are written."""
        from iaclab.mlplatform import teams

        team = teams.get(self.provider.api(), name, _team(current) if current else None)
        if team is None:
            return None
        before = current or {}
        return self._with_account(
            {
                "name": name,
                "namespaces": sorted(team.namespaces),
                "gpu_quota": team.gpu_quota,
                **{field: getattr(team, field) for field in _QUANTITIES},
                "labels": or_null(team.labels, before.get("labels")),
                "in_sync": team.alike,
                "timeouts": before.get("timeouts") or [],
            }
        )

    def _with_account(self, state: State) -> State:
        from iaclab.mlplatform import teams

        api = self.provider.api()
        account = teams.account(api, state["name"])
        login = {"token": account and account.token, "kubeconfig": account and account.kubeconfig}
        return {**state, **_named(state["name"]), "api_server": api.server, **login}


def _named(name: str) -> State:
    """What follows from the name alone, and is known before apply."""
    return {"id": name, "service_account": f"mlplatform-system/{name}"}


def _team(state: State) -> Team:
    from iaclab.mlplatform.teams import Team

    gpus = state["gpu_quota"]
    return Team(
        name=state["name"],
        namespaces=frozenset(state["namespaces"] or []),
        gpu_quota=None if gpus is None else int(gpus),
        **{field: state[field] for field in _QUANTITIES},
        labels=state["labels"] or {},
    )
