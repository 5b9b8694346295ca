"""The records as JSON:API resources, with the attributes that clients read."""

from __future__ import annotations

from typing import Any

from iaclab.tfe.runs import CONFIRMABLE, DISCARDABLE, WORKING
from iaclab.tfe.store import Configuration, Record, Run, StateVersion, Variable, Workspace
from iaclab.tfe.web import link, runner, store

Resource = dict[str, Any]


def resource(type: str, id: str, attributes: dict[str, Any], **relations: Any) -> Resource:
    """One resource; a relation is (type, id), a list of these, or `None`."""

    def linkage(to: Any) -> Any:
        return [linkage(one) for one in to] if isinstance(to, list) else {"type": to[0], "id": to[1]} if to else None

    linked = {name.replace("_", "-"): {"data": linkage(to)} for name, to in relations.items()}
    return {"type": type, "id": id, "attributes": attributes, "relationships": linked}


def _own(record: Record, names: str) -> dict[str, Any]:
    return {name.replace("_", "-"): getattr(record, name) for name in names.split()}


def _all(prefix: str, names: str) -> dict[str, bool]:
    """Permissions: everybody who has the token may do everything."""
    return {f"{prefix}-{name}": True for name in names.split()}


def workspace(record: Workspace) -> Resource:
    """A workspace."""
    current, state = runner().current(record), store().state(record)
    may = "update queue-run queue-apply queue-destroy lock unlock force-unlock destroy update-variable force-delete"
    more = {
        "created-at": record.created,
        "operations": record.execution_mode == "remote",
        "locked": bool(record.locked_by),
        "structured-run-output-enabled": False,
        "tag-names": sorted(record.tags),
        "permissions": _all("can", may),
    }
    return resource(
        "workspaces",
        record.id,
        _own(record, "name description execution_mode auto_apply terraform_version") | more,
        organization=("organizations", runner().organization),
        current_run=("runs", current.id) if current else None,
        current_state_version=("state-versions", state.id) if state else None,
    )


def run(record: Run) -> Resource:
    """A run, with what can be done with it now."""
    working = record.status in WORKING
    own = "status message auto_apply plan_only save_plan is_destroy refresh refresh_only target_addrs replace_addrs"
    more = {
        "created-at": record.created,
        "has-changes": record.has_changes,
        "variables": record.variables,
        "actions": {
            "is-cancelable": working or record.status == "pending",
            "is-force-cancelable": working,
            "is-confirmable": record.status in CONFIRMABLE,
            "is-discardable": record.status in DISCARDABLE,
        },
        "permissions": _all("can", "apply cancel discard force-cancel"),
    }
    return resource(
        "runs",
        record.id,
        _own(record, own) | more,
        workspace=("workspaces", record.workspace),
        configuration_version=("configuration-versions", record.configuration),
        plan=("plans", record.part("plan")),
        apply=("applies", record.part("apply")),
        policy_checks=[("policy-checks", record.part("polchk"))] if record.policy_status else [],
    )


def stage(record: Run, name: str) -> Resource:
    """A run's plan or apply."""
    counts = record.counts if name == "plan" or record.status == "applied" else {}
    attributes = {
        "status": record.stages[name],
        "has-changes": record.has_changes,
        "resource-additions": counts.get("create", 0),
        "resource-changes": counts.get("update", 0),
        "resource-destructions": counts.get("delete", 0),
        "log-read-url": link(name, record.id),
    }
    return resource({"plan": "plans", "apply": "applies"}[name], record.part(name), attributes)


def policy_check(record: Run) -> Resource:
    """A run's policy check."""
    attributes = {
        "status": record.policy_status,
        "scope": "organization",
        "result": record.policy_result or None,
        "actions": {"is-overridable": record.status == "policy_override"},
        "permissions": {"can-override": True},
    }
    return resource("policy-checks", record.part("polchk"), attributes, run=("runs", record.id))


def configuration(record: Configuration) -> Resource:
    """A configuration version."""
    attributes = _own(record, "status speculative provisional") | {"upload-url": link("configuration", record.id)}
    return resource("configuration-versions", record.id, attributes)


def variable(record: Variable) -> Resource:
    """A variable; the value of a sensitive one is never read back."""
    value = {"value": None if record.sensitive else record.value}
    attributes = _own(record, "key category hcl sensitive description") | value
    return resource("vars", record.id, attributes, configurable=("workspaces", record.workspace))


def state(record: StateVersion) -> Resource:
    """A state version, with where its content goes to or comes from."""
    done = record.status == "finalized"
    here, json = link("state", record.id), link("json", record.id)
    urls = {
        "hosted-state-upload-url": None if done else here,
        "hosted-json-state-upload-url": json,
        "hosted-state-download-url": here if done else None,
        "hosted-json-state-download-url": json if store().file(record.id, "json").exists() else None,
    }
    attributes = _own(record, "status serial lineage md5") | {"created-at": record.created, "resources-processed": True}
    run = ("runs", record.run) if record.run else None
    return resource("state-versions", record.id, attributes | urls, run=run)


def outputs(record: StateVersion, reveal: bool = False) -> list[Resource]:
    """The outputs in a complete state version; sensitive values only where `reveal`."""
    found = []
    for name, output in sorted(store().read_state(record).get("outputs", {}).items()):
        kind, hidden = output["type"], output.get("sensitive", False)
        simple = kind if isinstance(kind, str) else "object" if kind[0] in ("object", "map") else "array"
        attributes = {"name": name, "sensitive": hidden, "type": simple, "detailed-type": kind}
        attributes["value"] = output["value"] if reveal or not hidden else None
        found.append(resource("state-version-outputs", f"wsout-{record.id}-{name}", attributes))
    return found
