"""The WSGI application: the token, errors as JSON:API documents, one request at a time."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Any

from flask import Flask, Response, abort, current_app, request
from werkzeug.exceptions import HTTPException

from iaclab.tfe import operations, workspaces
from iaclab.tfe.runs import Conflict, Runner
from iaclab.tfe.uploads import uploads
from iaclab.tfe.web import API, View

# Service discovery as HCP Terraform answers it; the CLI's `host` block says the same in place of a request.
DISCOVERY = {"tfe.v2": "/api/v2/", "tfe.v2.1": "/api/v2/", "tfe.v2.2": "/api/v2/", "state.v2": "/api/v2/"}


def create_app(runner: Runner, token: str) -> Flask:
    """The application over `runner`; one request at a time sees and changes the records."""
    app = Flask("iaclab.tfe")
    app.config.update(RUNNER=runner, TOKEN=token)
    for blueprint in (workspaces.api, operations.api, uploads):
        app.register_blueprint(blueprint)
    app.add_url_rule("/healthz", view_func=lambda: "ok", endpoint="healthz")
    app.add_url_rule("/.well-known/terraform.json", view_func=lambda: DISCOVERY, endpoint="discovery")
    app.before_request(_authorize)
    app.after_request(_finish)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Conflict, lambda error: _error(409, "Conflict", str(error)))
    serve = app.wsgi_app

    def locked(environ: Any, start_response: Any) -> Iterable[bytes]:
        with runner.lock:
            return serve(environ, start_response)

    app.wsgi_app = locked  # type: ignore[method-assign]
    return app


def _authorize() -> None:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    right = hmac.compare_digest(token.encode(), current_app.config["TOKEN"].encode())
    if request.path.startswith(API) and not (right and kind.lower() == "bearer"):
        abort(401)


def _finish(response: Response) -> Response:
    """Name the API, and leave one line in the log, without an address' signature."""
    if response.mimetype == "application/json" and request.path.startswith(API):
        response.content_type = "application/vnd.api+json"
    response.headers["TFP-API-Version"] = "2.6"
    path = request.path if request.blueprint != uploads.name else request.path.rsplit("/", 1)[0]
    print(request.method, path, response.status_code, flush=True)
    return response


def _http_error(error: HTTPException) -> View:
    unknown = "Resource not found, or you are not authorized to see it."
    return _error(error.code or 500, error.name, unknown if error.code == 404 else error.description)


def _error(status: int, title: str, detail: str | None) -> View:
    return {"errors": [{"status": str(status), "title": title.lower(), "detail": detail or ""}]}, status
