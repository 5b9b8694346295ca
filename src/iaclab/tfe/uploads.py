"""Files behind signed addresses: configurations, states and logs go to and fro without the token."""

from __future__ import annotations

import hmac

from flask import Blueprint, Response, abort, request

from iaclab.platform.profile import write_private
from iaclab.tfe.runs import ETX
from iaclab.tfe.store import Configuration, Run, StateVersion
from iaclab.tfe.web import find, refuse, runner, signature, store
from iaclab.tfe.workplace import Workplace

uploads = Blueprint("uploads", __name__, url_prefix="/uploads")


@uploads.before_request
def _authorize() -> None:
    args = request.view_args or {}
    if not hmac.compare_digest(args.get("signed", ""), signature(args.get("what", ""), args.get("id", ""))):
        abort(404)


@uploads.put("/<what>/<id>/<signed>")
def put(what: str, id: str, signed: str) -> str:
    """Take a configuration, a state, or a state's JSON form."""
    body = request.get_data()
    if what == "configuration":
        configuration = find(Configuration, id)
        store().file(id, "tar.gz").write_bytes(body)
        configuration.status = "uploaded"
        store().save(configuration)
    elif what == "state":
        fill(find(StateVersion, id), body)
    elif what == "json":
        write_private(store().file(find(StateVersion, id).id, "json"), body.decode())
    else:
        abort(405)
    return ""


@uploads.get("/<what>/<id>/<signed>")
def get(what: str, id: str, signed: str) -> Response:
    """Give a state, or the part of a log that begins at `offset`."""
    if what not in ("plan", "apply"):
        path = store().file(find(StateVersion, id).id, {"state": "tfstate"}.get(what, what))
        return Response(path.read_bytes() if path.exists() else abort(404), mimetype="application/json")
    run, part = find(Run, id), b""
    path = Workplace(store(), run).log(what)
    if path.exists():
        with path.open("rb") as log:
            log.seek(request.args.get("offset", 0, int))
            part = log.read(request.args.get("limit", 1 << 16, int))
    if what == "plan" and part.endswith(ETX):
        runner().shown(run).set()
    return Response(part, mimetype="text/plain")


def fill(version: StateVersion, content: bytes) -> None:
    """Give a state version its content, once."""
    if version.status == "finalized":
        abort(409, "The state version has its content already.")
    try:
        store().write_state(version, content)
    except ValueError as error:
        refuse(str(error))
