"""The API: the organization, its workspaces and their variables."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, abort, request

from iaclab.tfe import documents
from iaclab.tfe.documents import Resource, resource
from iaclab.tfe.runs import WORKING
from iaclab.tfe.store import Run, Variable, Workspace
from iaclab.tfe.web import API, View, assigned, find, many, one, refuse, related, runner, sent_list, store

api = Blueprint("workspaces", __name__, url_prefix=API)
_WORKSPACE_NAME = re.compile(r"(?!default$)[A-Za-z0-9_-]{1,90}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][\w-]*")


def _in(organization: str) -> None:
    if organization != runner().organization:
        abort(404)


# --- the organization -------------------------------------------------------------------------------------


@api.get("/ping")
def ping() -> tuple[str, int]:
    return "", 204


@api.get("/organizations/<org>/entitlement-set")
def entitlements(org: str) -> View:
    _in(org)
    names = ("operations", "state-storage", "sentinel", "cost-estimation", "teams", "vcs-integrations", "run-tasks")
    return one(resource("entitlement-sets", org, {name: name in names[:3] for name in names}))


@api.get("/organizations/<org>/runs/queue")  # no limit across workspaces: a run waits in its workspace only
@api.get("/organizations/<org>/projects")
def nothing(org: str) -> View:
    _in(org)
    return many([])


# --- workspaces -------------------------------------------------------------------------------------------


@api.get("/organizations/<org>/workspaces")
def list_workspaces(org: str) -> View:
    _in(org)
    wanted = dict.fromkeys(filter(None, request.args.get("search[tags]", "").split(",")), "")
    for name, key in request.args.items():
        if match := re.fullmatch(r"filter\[tagged\]\[(\d+)\]\[key\]", name):
            wanted[key] = request.args.get(f"filter[tagged][{match[1]}][value]", "")
    found = store().all(Workspace)
    found = [w for w in found if all(k in w.tags and v in ("", w.tags[k]) for k, v in wanted.items())]
    return many([documents.workspace(w) for w in found])


@api.post("/organizations/<org>/workspaces")
def create_workspace(org: str) -> View:
    _in(org)
    workspace = Workspace(terraform_version=runner().version, tags=_tags(related("tag-bindings") or related("tags")))
    return one(documents.workspace(_write_workspace(workspace)), 201)


@api.get("/organizations/<org>/workspaces/<name>")
def read_workspace(org: str, name: str) -> View:
    return one(documents.workspace(_named(org, name)))


@api.get("/workspaces/<id>")
def read_workspace_by_id(id: str) -> View:
    return one(documents.workspace(find(Workspace, id)))


@api.patch("/workspaces/<id>")
def update_workspace(id: str) -> View:
    return one(documents.workspace(_write_workspace(find(Workspace, id))))


@api.delete("/organizations/<org>/workspaces/<name>")
@api.post("/organizations/<org>/workspaces/<name>/actions/safe-delete")
def delete_workspace(org: str, name: str) -> tuple[str, int]:
    workspace = _named(org, name)
    state = store().state(workspace)
    if request.method == "POST" and state and store().read_state(state).get("resources"):
        abort(409, "The workspace still manages resources.")
    if workspace.locked_by or any(run.status in WORKING for run in store().all(Run, workspace.id)):
        abort(409, "The workspace is locked: a run or a command works with it.")
    store().delete(workspace)
    return "", 204


@api.route("/workspaces/<id>/tag-bindings", methods=["GET", "PATCH"])
def tag_bindings(id: str) -> View:
    workspace = find(Workspace, id)
    if request.method == "PATCH":
        workspace.tags |= _tags(sent_list())
        store().save(workspace)
    return many([resource("tag-bindings", f"tb-{k}", {"key": k, "value": v}) for k, v in workspace.tags.items()])


@api.post("/workspaces/<id>/actions/lock")
def lock(id: str) -> View:
    workspace = find(Workspace, id)
    if workspace.locked_by:
        abort(409, "Unable to lock workspace. The workspace is already locked.")
    workspace.locked_by = "user"
    return one(documents.workspace(store().save(workspace)))


@api.post("/workspaces/<id>/actions/unlock")
@api.post("/workspaces/<id>/actions/force-unlock")
def unlock(id: str) -> View:
    workspace = find(Workspace, id)
    if not workspace.locked_by:
        abort(409, "Unable to unlock workspace. The workspace is not locked.")
    if workspace.locked_by != "user":
        abort(409, f"Unable to unlock workspace. It is locked by Run {workspace.locked_by}.")
    workspace.locked_by = ""
    runner().advance(store().save(workspace))
    return one(documents.workspace(workspace))


def _named(org: str, name: str) -> Workspace:
    _in(org)
    return next((w for w in store().all(Workspace) if w.name == name), None) or abort(404)


def _write_workspace(before: Workspace) -> Workspace:
    workspace = assigned(before, "name", "description", "execution_mode", "auto_apply", "terraform_version")
    if not _WORKSPACE_NAME.fullmatch(workspace.name):
        refuse(f"'{workspace.name}' is not a workspace name: letters, digits, - and _.")
    if any(w.name == workspace.name and w.id != workspace.id for w in store().all(Workspace)):
        refuse("Name has already been taken")
    if workspace.execution_mode not in ("remote", "local"):
        refuse("The execution mode is remote or local; there are no agents.")
    if workspace.terraform_version != runner().version:
        refuse(f"Terraform {workspace.terraform_version} is not available; {runner().version} is.")
    if before.locked_by and (before.name, before.execution_mode) != (workspace.name, workspace.execution_mode):
        abort(409, "A locked workspace keeps its name and its execution mode.")
    return store().save(workspace)


def _tags(data: list[dict[str, Any]]) -> dict[str, str]:
    found = [tag.get("attributes") or {} for tag in data]
    return {str(tag.get("key") or tag.get("name")): str(tag.get("value") or "") for tag in found}


# --- variables --------------------------------------------------------------------------------------------


@api.get("/workspaces/<id>/vars")
def list_variables(id: str) -> View:
    return many([documents.variable(v) for v in store().all(Variable, find(Workspace, id).id)])


@api.post("/workspaces/<id>/vars")
def create_variable(id: str) -> View:
    return one(_write_variable(Variable(workspace=find(Workspace, id).id)), 201)


@api.patch("/workspaces/<id>/vars/<variable>")
def update_variable(id: str, variable: str) -> View:
    return one(_write_variable(find(Variable, variable)))


@api.delete("/workspaces/<id>/vars/<variable>")
def delete_variable(id: str, variable: str) -> tuple[str, int]:
    store().delete(find(Variable, variable))
    return "", 204


def _write_variable(before: Variable) -> Resource:
    variable = assigned(before, "key", "value", "category", "hcl", "sensitive", "description")
    if variable.category not in ("terraform", "env") or not _VARIABLE_NAME.fullmatch(variable.key):
        refuse("A variable has a key, and the category terraform or env.")
    if before.sensitive and not variable.sensitive:
        refuse("A sensitive variable stays sensitive.")
    mine = store().all(Variable, variable.workspace)
    if any((v.key, v.category) == (variable.key, variable.category) and v.id != variable.id for v in mine):
        refuse("Key has already been taken")
    return documents.variable(store().save(variable))
