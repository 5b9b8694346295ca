"""The provider: Pulumi's requests, answered by the classes of the Terraform provider."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pulumi.provider.experimental import provider as pulumis
from pulumi.provider.experimental.provider import PropertyDiff, PropertyDiffKind
from tf.iface import (
    CreateContext,
    DeleteContext,
    ImportContext,
    PlanContext,
    ReadContext,
    ReadDataContext,
    UpdateContext,
)
from tf.types import Unknown
from tf.utils import Diagnostics

from iaclab.errors import LabError
from iaclab.pulumi_platform import schema
from iaclab.pulumi_platform.bridge import Kind, State, Values, to_python
from iaclab.terraform_provider.provider import MlPlatform

_SIDE_BY_SIDE = 16  # operations; Pulumi asks for as many as --parallel says
_TIMEOUTS = "timeouts"
_WORDS = (
    ("terraform import", "pulumi import"),
    ('timeouts { delete = "5m" }', 'custom_timeouts=pulumi.CustomTimeouts(delete="5m")'),
    ("apply with force_destroy = true", "up with force_destroy=True"),
)  # of Terraform's mends, and what they are here


class PartlyDone(LabError):
    """The resource is there, and not as it should be; `id` and `outputs` go into the state."""

    def __init__(self, error: LabError, id: str, outputs: Values) -> None:
        super().__init__(error.what, error.why, error.mend)
        self.id, self.outputs = id, outputs


class Bridge(pulumis.Provider):
    """Answers for every resource and data source of the Terraform provider."""

    def __init__(self) -> None:
        self._platform = MlPlatform()
        self.kinds = {k.token: k for k in map(Kind, self._platform.get_resources())}
        self.functions = {k.token: k for k in map(Kind, self._platform.get_data_sources())}
        self._workers = ThreadPoolExecutor(_SIDE_BY_SIDE)

    async def _aside(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Run what waits for the cluster or for S3 in a thread: requests are served side by side."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, work, *arguments)

    def _kind(self, type_: str) -> tuple[Kind, Any]:
        token = type_.rsplit("$", 1)[-1]  # below a component, the type begins with the parent's
        kind = self.kinds.get(token)
        if kind is None:
            raise LabError(f"There is no resource {token}.", why="There are " + ", ".join(self.kinds) + ".")
        return kind, kind.source(self._platform)

    # --- the provider ----------------------------------------------------------------------------------

    async def get_schema(self, request: pulumis.GetSchemaRequest) -> pulumis.GetSchemaResponse:
        return pulumis.GetSchemaResponse(schema.document(self.kinds, self.functions, self._platform))

    async def configure(self, request: pulumis.ConfigureRequest) -> pulumis.ConfigureResponse:
        settings = {name: to_python(value) for name, value in request.args.items()}
        self._platform.configure_provider(
            Diagnostics(),
            {"kubeconfig": settings.get("kubeconfig"), "s3_endpoint": settings.get("s3Endpoint")},
        )
        return await super().configure(request)

    async def invoke(self, request: pulumis.InvokeRequest) -> pulumis.InvokeResponse:
        kind = self.functions.get(request.tok)
        if kind is None:
            raise LabError(f"There is no function {request.tok}.", why="There are " + ", ".join(self.functions) + ".")
        source, config = kind.source(self._platform), {**dict.fromkeys(kind.inputs), **kind.to_state(request.args)}
        diags = Diagnostics()
        source.validate(diags, kind.token, config)
        if not diags.has_errors():
            state = await self._aside(source.read, ReadDataContext(diags, kind.token), config)
        _raise(diags)
        return pulumis.InvokeResponse(kind.to_values(_numbers(state)))

    # --- resources -------------------------------------------------------------------------------------

    async def check(self, request: pulumis.CheckRequest) -> pulumis.CheckResponse:
        kind, source = self._kind(request.type)
        given, failures = kind.to_state(request.new_inputs), []
        if "name" in kind.inputs and given.get("name") is None:
            given["name"] = request.name
        allowed = {kind.names[name] for name in kind.inputs}
        for name in sorted(set(request.new_inputs) - allowed):
            failures.append(pulumis.CheckFailure(name, f"there is no such property; there are {_words(allowed)}"))
        for name in sorted(kind.inputs):
            if name in kind.attributes and kind.attributes[name].required and given.get(name) is None:
                failures.append(pulumis.CheckFailure(kind.names[name], "it is required"))
        diags, config = Diagnostics(), kind.complete(given)
        if not failures:
            source.validate(diags, kind.token, config)
        for error in _errors(diags):
            where = [step for step in error.path or [] if isinstance(step, str)]
            reason = ". ".join(filter(None, [error.summary.rstrip("."), (error.detail or "").replace("\n", " ")]))
            failures.append(pulumis.CheckFailure(kind.names.get(where[0], where[0]) if where else "", reason))
        secret = frozenset(n for n, p in kind.names.items() if p in request.new_inputs and _secret(request, p))
        inputs = kind.to_values({name: config.get(name) for name in kind.inputs}, secret)
        return pulumis.CheckResponse(inputs=inputs, failures=failures)

    async def diff(self, request: pulumis.DiffRequest) -> pulumis.DiffResponse:
        kind, source = self._kind(request.type)
        current, planned, changed = self._plan(kind, source, request.old_state, request.new_inputs)
        changed -= {name for name in kind.inputs if kind.names[name] in request.ignore_changes}
        replaces = {n for n in changed if n in kind.attributes and kind.attributes[n].requires_replace}
        if current.get("in_sync") is False:
            changed.add("in_sync")
        detail = {kind.names[n]: _difference(current.get(n), planned.get(n), n in replaces) for n in sorted(changed)}
        return pulumis.DiffResponse(
            changes=bool(changed),
            replaces=[kind.names[name] for name in sorted(replaces)],
            delete_before_replace="name" not in replaces,  # two cannot have one name
            diffs=list(detail),
            detailed_diff=detail,
        )

    async def create(self, request: pulumis.CreateRequest) -> pulumis.CreateResponse:
        kind, source = self._kind(request.type)
        diags, config = Diagnostics(), kind.complete(kind.to_state(request.properties))
        unknown = {name: Unknown for name in kind.attributes if name not in kind.inputs}
        planned = source.plan(PlanContext(diags, kind.token, set(config)), None, {**unknown, **config})
        _raise(diags)
        if request.preview:
            return pulumis.CreateResponse(properties=kind.to_values(planned))
        planned = _within(planned, "create", request.timeout)
        state = await self._aside(source.create, CreateContext(diags, kind.token), planned)
        _warn(diags)
        if state is None:
            _raise(diags)
        outputs, id = kind.to_values(_numbers(state)), str(config["name"])
        if diags.has_errors():
            raise PartlyDone(_first(diags), id, outputs)
        return pulumis.CreateResponse(id, outputs)

    async def read(self, request: pulumis.ReadRequest) -> pulumis.ReadResponse:
        kind, source = self._kind(request.type)
        diags = Diagnostics()
        if request.properties:
            current = self._current(kind, request.properties)
            state = await self._aside(source.read, ReadContext(diags, kind.token), current)
        else:
            state = await self._aside(source.import_, ImportContext(diags, kind.token), request.resource_id)
        _raise(diags)
        if state is None:
            return pulumis.ReadResponse()
        state = _numbers(state)
        given = {n for n in kind.inputs if kind.names[n] in request.inputs}
        default = kind.complete({})
        inputs = {n: state.get(n) for n in kind.inputs if n in given or state.get(n) != default[n]}
        return pulumis.ReadResponse(request.resource_id, kind.to_values(state), kind.to_values(inputs))

    async def update(self, request: pulumis.UpdateRequest) -> pulumis.UpdateResponse:
        kind, source = self._kind(request.type)
        current, planned, _ = self._plan(kind, source, request.olds, request.news)
        if request.preview:
            return pulumis.UpdateResponse(kind.to_values(planned))
        diags = Diagnostics()
        planned = _within(planned, "update", request.timeout)
        state = await self._aside(source.update, UpdateContext(diags, kind.token), current, planned)
        _warn(diags)
        _raise(diags)
        return pulumis.UpdateResponse(kind.to_values(_numbers(state)))

    async def delete(self, request: pulumis.DeleteRequest) -> None:
        kind, source = self._kind(request.type)
        diags = Diagnostics()
        current = _within(self._current(kind, request.properties), "delete", request.timeout)
        await self._aside(source.delete, DeleteContext(diags, kind.token), current)
        _raise(diags)

    def _current(self, kind: Kind, values: Values) -> State:
        """A state as it is stored: what is absent there is `None`."""
        return {**dict.fromkeys(kind.attributes), **kind.no_blocks(), **kind.to_state(values)}

    def _plan(self, kind: Kind, source: Any, old: Values, new: Values) -> tuple[State, State, set[str]]:
        """The current state, the planned one, and the inputs that differ between them."""
        current, config = self._current(kind, old), kind.complete(kind.to_state(new))
        computed = {n: current[n] for n in kind.attributes if n not in kind.inputs}
        changed = {n for n in kind.inputs if not _equal(kind, n, current.get(n), config.get(n))}
        diags = Diagnostics()
        planned = source.plan(PlanContext(diags, kind.token, changed), current, {**computed, **config})
        _raise(diags)
        return current, planned, {n for n in changed if not _equal(kind, n, current.get(n), planned.get(n))}


def _equal(kind: Kind, name: str, one: Any, other: Any) -> bool:
    """Whether two values are the same to Terraform: blocks and sets have no order, no map is an empty map."""
    if name in kind.blocks or type(getattr(kind.attributes.get(name), "type", None)).__name__ == "Set":
        if not (isinstance(one, list) and isinstance(other, list)):
            return bool(one == other)
        return sorted(map(repr, one)) == sorted(map(repr, other))
    return bool((one or None) == (other or None)) if isinstance(one or other, dict) else bool(one == other)


def _difference(old: Any, new: Any, replace: bool) -> PropertyDiff:
    kinds = PropertyDiffKind
    if old in (None, []):
        kind = kinds.ADD_REPLACE if replace else kinds.ADD
    elif new in (None, []):
        kind = kinds.DELETE_REPLACE if replace else kinds.DELETE
    else:
        kind = kinds.UPDATE_REPLACE if replace else kinds.UPDATE
    return PropertyDiff(kind, input_diff=False)


def _within(state: State, operation: str, seconds: float) -> State:
    """Pulumi's option `custom_timeouts` as Terraform's block `timeouts`, where the resource has one."""
    if not seconds or _TIMEOUTS not in state:
        return state
    return {**state, _TIMEOUTS: [{operation: f"{seconds:.0f}s"}]}


def _numbers(state: State) -> State:
    """Decimals travel as text to Terraform; here a price is a number."""
    prices = {k: float(v) for k, v in state.items() if k.endswith(("_cost", "_price")) and isinstance(v, str)}
    maps = {k: {n: float(p) for n, p in v.items()} for k, v in state.items() if k.endswith("_prices")}
    return {**state, **prices, **maps}


def _secret(request: pulumis.CheckRequest, name: str) -> bool:
    return request.new_inputs[name].contains_secret()


def _words(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _errors(diags: Diagnostics) -> list[Any]:
    return [d for d in diags.diagnostics if d.severity == "error"]


def _first(diags: Diagnostics) -> LabError:
    error = _errors(diags)[0]
    why, _, mend = (error.detail or "").partition("Mend: ")
    for terraforms, pulumis_own in _WORDS:
        mend = mend.replace(terraforms, pulumis_own)
    return LabError(error.summary, why=why.strip(), mend=mend.strip())


def _raise(diags: Diagnostics) -> None:
    if diags.has_errors():
        raise _first(diags)


def _warn(diags: Diagnostics) -> None:
    """What a plugin writes to its error stream is shown by Pulumi."""
    for warning in diags.diagnostics:
        if warning.severity != "error":
            print(f"{warning.summary}. {warning.detail}", file=sys.stderr, flush=True)
