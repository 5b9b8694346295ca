"""The API: state versions, configurations, runs and policy checks."""

from __future__ import annotations

import base64
import binascii

from flask import Blueprint, Response, abort, request

from iaclab.tfe import documents
from iaclab.tfe.store import Configuration, R, Run, StateVersion, Workspace
from iaclab.tfe.uploads import fill
from iaclab.tfe.web import API, View, assigned, find, many, one, refuse, related, runner, sent, store

api = Blueprint("operations", __name__, url_prefix=API)

# --- state ------------------------------------------------------------------------------------------------


@api.get("/workspaces/<id>/current-state-version")
def current_state(id: str) -> View:
    return one(documents.state(store().state(find(Workspace, id)) or abort(404)))


@api.get("/workspaces/<id>/current-state-version-outputs")
def current_outputs(id: str) -> View:
    return many(documents.outputs(store().state(find(Workspace, id)) or abort(404)))


@api.get("/state-versions/<id>")
def read_state(id: str) -> View:
    return one(documents.state(find(StateVersion, id)))


@api.get("/state-version-outputs/wsout-<version>-<name>")
def read_output(version: str, name: str) -> View:
    found = {o["attributes"]["name"]: o for o in documents.outputs(find(StateVersion, version), reveal=True)}
    return one(found.get(name) or abort(404))


@api.post("/workspaces/<id>/state-versions")
def create_state(id: str) -> View:
    workspace = find(Workspace, id)
    given = sent().get("attributes") or {}
    serial, lineage, md5 = given.get("serial"), given.get("lineage"), given.get("md5")
    if not isinstance(serial, int) or not isinstance(md5, str):
        refuse("A state version has a serial and an md5.")
    if not workspace.locked_by:
        abort(409, "The workspace is not locked: lock it before you write its state.")
    before = store().state(workspace)
    if before and not given.get("force"):
        if lineage and lineage != before.lineage:
            abort(409, "The lineage is not that of the workspace's state.")
        if serial < before.serial or (serial == before.serial and md5 != before.md5):
            abort(409, f"The serial {serial} is not newer than {before.serial}.")
    version = store().save(StateVersion(workspace=id, serial=serial, lineage=str(lineage or ""), md5=md5))
    if content := given.get("state"):
        try:
            fill(version, base64.b64decode(content, validate=True))
        except binascii.Error:
            refuse("'state' is not base64.")
    return one(documents.state(version), 201)


# --- configurations and runs ------------------------------------------------------------------------------


@api.post("/workspaces/<id>/configuration-versions")
def create_configuration(id: str) -> View:
    known = ("auto_queue_runs", "speculative", "provisional")
    configuration = assigned(Configuration(workspace=find(Workspace, id).id), *known)
    if configuration.auto_queue_runs:
        refuse("Runs are created from the command line only: auto-queue-runs is false.")
    return one(documents.configuration(store().save(configuration)), 201)


@api.get("/configuration-versions/<id>")
def read_configuration(id: str) -> View:
    return one(documents.configuration(find(Configuration, id)))


@api.post("/runs")
def create_run() -> View:
    workspace, configuration = _related(Workspace, "workspace"), _related(Configuration, "configuration-version")
    if workspace.execution_mode == "local":
        refuse("The workspace's execution mode is local: its runs are on your machine.")
    if configuration.status != "uploaded" or configuration.workspace != workspace.id:
        refuse("The configuration version has not been uploaded to this workspace.")
    run = Run(workspace=workspace.id, configuration=configuration.id, auto_apply=workspace.auto_apply)
    flags = ("auto_apply", "plan_only", "save_plan", "is_destroy", "refresh", "refresh_only")
    run = assigned(run, "message", *flags, "target_addrs", "replace_addrs", "variables")
    run.plan_only = run.plan_only or configuration.speculative
    run.queued = not (run.plan_only or run.save_plan)
    runner().submit(store().save(run))
    return one(documents.run(run), 201)


def _related(kind: type[R], name: str) -> R:
    """The record that the document's relation `name` points to."""
    return find(kind, str(next(iter(related(name)), {}).get("id")))


@api.get("/runs/<id>")
def read_run(id: str) -> View:
    run = find(Run, id)
    asked = request.args.get("include", "").split(",")
    included = [documents.stage(run, name) for name in ("plan", "apply") if name in asked]
    included += [documents.workspace(find(Workspace, run.workspace))] if "workspace" in asked else []
    return one(documents.run(run), included=included)


@api.get("/workspaces/<id>/runs")
def list_runs(id: str) -> View:
    return many([documents.run(run) for run in reversed(store().all(Run, find(Workspace, id).id))])


@api.get("/runs/<id>/run-events")
def run_events(id: str) -> View:
    find(Run, id)
    return many([])


@api.post("/runs/<id>/actions/<any('apply', 'discard', 'cancel', 'force-cancel'):action>")
def act(id: str, action: str) -> tuple[str, int]:
    run = find(Run, id)
    if action == "apply":
        runner().confirm(run)
    elif action == "discard":
        runner().discard(run)
    else:
        runner().cancel(run, force=action == "force-cancel")
    return "", 202


@api.get("/plans/plan-<id>")
def read_plan(id: str) -> View:
    return one(documents.stage(find(Run, f"run-{id}"), "plan"))


@api.get("/applies/apply-<id>")
def read_apply(id: str) -> View:
    return one(documents.stage(find(Run, f"run-{id}"), "apply"))


@api.get("/plans/plan-<id>/json-output")
def json_plan(id: str) -> Response:
    return Response(runner().json_plan(find(Run, f"run-{id}")) or abort(404), mimetype="application/json")


@api.get("/policy-checks/polchk-<id>")
def read_policy_check(id: str) -> View:
    return one(documents.policy_check(_checked(id)))


@api.get("/policy-checks/polchk-<id>/output")
def policy_output(id: str) -> Response:
    return Response(_checked(id).policy_log, mimetype="text/plain")


@api.post("/policy-checks/polchk-<id>/actions/override")
def override(id: str) -> View:
    run = _checked(id)
    runner().override(run)
    return one(documents.policy_check(run))


def _checked(id: str) -> Run:
    run = find(Run, f"run-{id}")
    return run if run.policy_status else abort(404)
