"""Prometheus on loopback: holds the measurements that canaries are judged by.

Nothing is scraped: the pods of a KWOK node run no program that could be asked. Measurements are pushed with
`promtool push metrics` (remote write), and count for an hour.
"""

from __future__ import annotations

import bcrypt
import httpx
import yaml

from iaclab import tools
from iaclab.platform.profile import HOST, Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.supervise import Program

TOOLS = ("prometheus", "promtool")
USER = "learner"


def url(profile: Profile) -> str:
    """The base of Prometheus' API; it asks for `USER` and the profile's password."""
    return f"http://{HOST}:{profile.port('metrics')}"


def url_with_password(profile: Profile) -> str:
    """The same for a program that has nowhere else to put credentials; keep it out of command lines."""
    return f"http://{USER}:{profile.secret('prometheus')}@{HOST}:{profile.port('metrics')}"


def query(profile: Profile, promql: str) -> list[tuple[dict[str, str], float]]:
    """What an instant query finds: labels and value of each series.

    Raises:
        httpx.HTTPError: Prometheus does not answer, or refuses the query.
    """
    answer = _ask(profile, "GET", "/api/v1/query", {"query": promql})
    answer.raise_for_status()
    return [(dict(series["metric"]), float(series["value"][1])) for series in answer.json()["data"]["result"]]


def _ask(profile: Profile, method: str, path: str, params: dict[str, str] | None = None) -> httpx.Response:
    login = (USER, profile.secret("prometheus"))
    return httpx.request(method, url(profile) + path, params=params, auth=login, timeout=5, trust_env=False)


def _password_hash(profile: Profile) -> str:
    """The bcrypt hash of the password, kept, so that an unchanged password keeps the file unchanged."""
    path = profile.folder("secrets") / "prometheus.bcrypt"
    if not path.exists():
        hashed = bcrypt.hashpw(profile.secret("prometheus").encode(), bcrypt.gensalt(rounds=4))
        write_private(path, hashed.decode())
    return path.read_text()


def _programs(profile: Profile) -> list[Program]:
    bins = tools.ensure(*TOOLS)
    folder = profile.folder("metrics")
    write_private(folder / "prometheus.yml", yaml.safe_dump({"global": {"scrape_interval": "15s"}}))
    write_private(folder / "web.yml", yaml.safe_dump({"basic_auth_users": {USER: _password_hash(profile)}}))
    password = str(profile.root / "secrets" / "prometheus")
    write_private(
        folder / "promtool.yml", yaml.safe_dump({"basic_auth": {"username": USER, "password_file": password}})
    )
    return [
        Program(
            "prometheus",
            [
                str(bins["prometheus"]),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--web.config.file={folder / 'web.yml'}",
                f"--web.listen-address={HOST}:{profile.port('metrics')}",
                "--web.enable-remote-write-receiver",
                "--web.enable-admin-api",  # a reset deletes all series
                f"--storage.tsdb.path={profile.folder('metrics', 'data')}",
                "--storage.tsdb.retention.time=2d",
                "--storage.tsdb.wal-segment-size=10MB",
                "--query.lookback-delta=1h",  # who pushes by hand does not push every minute
                "--log.level=warn",
            ],
            env={"GOGC": "75"},
            ports=("metrics",),
        )
    ]


def _ready(profile: Profile) -> str | None:
    try:
        answer = _ask(profile, "GET", "/-/ready")
    except httpx.HTTPError as error:
        return f"it does not answer ({type(error).__name__})"
    return None if answer.status_code == 200 else f"/-/ready says {answer.status_code}"


def _env(profile: Profile) -> dict[str, str]:
    return {
        "PROMETHEUS_URL": url(profile),
        "PROMTOOL_CONFIG": str(profile.root / "metrics" / "promtool.yml"),
    }


def _clear(profile: Profile) -> None:
    everything = {"match[]": '{__name__!=""}'}
    _ask(profile, "POST", "/api/v1/admin/tsdb/delete_series", everything).raise_for_status()


SERVICES = [
    Service(
        name="metrics",
        title="Prometheus: measurements of models, pushed with promtool",
        tools=TOOLS,
        programs=_programs,
        ready=_ready,
        env=_env,
        clear=_clear,
    )
]
