"""What the views share: the records, the document that was sent, refusals, signed addresses, answers."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

from flask import abort, current_app, request

from iaclab.tfe.runs import Runner
from iaclab.tfe.store import R, Store

View = tuple[dict[str, Any], int]
API = "/api/v2"
T = TypeVar("T")


def runner() -> Runner:
    """The application's runner."""
    found: Runner = current_app.config["RUNNER"]
    return found


def store() -> Store:
    """The application's records."""
    return runner().store


def find(kind: type[R], id: str) -> R:
    """The record of that kind and id, or 404."""
    return store().get(kind, id) or abort(404)


def refuse(why: str) -> NoReturn:
    """End the request: the document is understood, and not possible here."""
    abort(422, why)


def sent() -> dict[str, Any]:
    """The one resource in the document that was sent."""
    return _part(_part(request.get_json(force=True), dict).get("data"), dict)


def sent_list() -> list[dict[str, Any]]:
    """The resources in the document that was sent."""
    return _resources(_part(request.get_json(force=True), dict).get("data"))


def related(name: str) -> list[dict[str, Any]]:
    """What the document's relation `name` points to."""
    relations = _part(sent().get("relationships") or {}, dict)
    data = _part(relations.get(name) or {}, dict).get("data") or []
    return _resources(data if isinstance(data, list) else [data])


def _resources(data: Any) -> list[dict[str, Any]]:
    return [_part(resource, dict) for resource in _part(data, list)]


def _part(value: Any, kind: type[T]) -> T:
    return value if isinstance(value, kind) else abort(400, "The body is not a JSON:API document.")


def assigned(record: R, *known: str) -> R:
    """A copy of `record` with the attributes that were sent; one that is not `known` is refused, not ignored."""
    record = replace(record)
    for name, value in _part(sent().get("attributes") or {}, dict).items():
        key = name.replace("-", "_")
        if key not in known:
            refuse(f"This teaching server does not know the attribute '{name}'.")
        if value is None:
            continue
        if type(value) is not type(getattr(record, key)):
            refuse(f"'{name}' has the wrong type.")
        setattr(record, key, value)
    return record


def signature(what: str, id: str) -> str:
    """Proves that an address for an upload, a state or a log comes from this server."""
    return hmac.new(current_app.config["TOKEN"].encode(), f"{what}/{id}".encode(), hashlib.sha256).hexdigest()[:32]


def link(what: str, id: str) -> str:
    """The signed address of a record's file: who has it needs no token, as on HCP Terraform."""
    return f"{request.host_url}uploads/{what}/{id}/{signature(what, id)}"


def one(data: dict[str, Any], status: int = 200, **more: Any) -> View:
    """A document with one resource."""
    return {"data": data, **more}, status


def many(data: list[dict[str, Any]]) -> View:
    """A document with a list, always on one page."""
    page = {"current-page": 1, "prev-page": None, "next-page": None, "total-pages": 1, "total-count": len(data)}
    return {"data": data, "meta": {"pagination": page}}, 200
