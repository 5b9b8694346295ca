"""The `iaclab` command."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from iaclab.errors import LabError

if TYPE_CHECKING:
    from iaclab.learning_path import Step
    from iaclab.platform.profile import Profile

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Infrastructure as Code and GitOps, on the real tools, locally.",
)
tools_app = typer.Typer(no_args_is_help=True, help="The tools: which are here, which are missing.")
app.add_typer(tools_app, name="tools")
console = Console()
_INTERRUPTED = 130

Services = Annotated[list[str] | None, typer.Argument(help="Services; none means all that this profile has.")]
ProfileName = Annotated[str | None, typer.Option("--profile", "-p", help="An isolated set of services.")]


def main() -> None:
    """Run the command; a problem that the user can mend is three lines, never a traceback."""
    try:
        app()
    except LabError as error:
        Console(stderr=True).print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except SystemExit as end:
        if end.code == _INTERRUPTED:  # Typer has made it of a KeyboardInterrupt
            Console(stderr=True).print("Stopped. What was finished is kept; run the command again to go on.")
        raise


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

    _with_progress(lambda tell: lifecycle.down(*(services or []), profile=_profile(profile), progress=tell))
    console.print("stopped")


@app.command()
def status(
    profile: ProfileName = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that were never started, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show the services: ready, degraded, failed or stopped, and how often each was restarted."""
    from iaclab.platform import lifecycle

    rows = lifecycle.status(_profile(profile))
    if as_json:
        print(json.dumps([row.__dict__ for row in rows], indent=1))
        return
    idle = [] if everything else [row.name for row in rows if row.detail == lifecycle.NEVER_STARTED]
    table = Table("service", "state", "", "what it is")
    for row in rows:
        if row.name not in idle:
            table.add_row(row.name, row.state, row.detail, row.title)
    if table.rows:
        console.print(table)
    if idle:
        console.print(f"Never started: {', '.join(idle)}. `iaclab status --all` says what they are.")


@app.command()
def logs(
    service: str,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1)] = 40,
    profile: ProfileName = None,
) -> None:
    """Print the last lines of a service's programs."""
    from iaclab.platform import lifecycle

    found = lifecycle.logs(service, lines, _profile(profile))
    for program, tail in found.items():
        console.rule(program)
        print("\n".join(tail))
    if not found:
        console.print(f"{service} has said nothing yet: iaclab up {service}")


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
def lint(paths: Annotated[list[Path], typer.Argument(help="Files, or folders with them.")]) -> None:
    """Find syntax errors in Rego, Sentinel, Terraform and YAML: file, line, and a hint."""
    from iaclab import syntax

    found = syntax.problems(paths)
    for problem in found:
        print(problem)
    sys.exit(1 if found else 0)


@app.command()
def doctor() -> None:
    """Say what is here, which version, from where, what is missing, and the command that mends it."""
    from iaclab import doctor as module

    sys.exit(module.print_report(console))


@app.command()
def grade(
    lab: Annotated[str, typer.Argument(help="A lab, or the beginning of its name: lab2.")],
    student: Annotated[str | None, typer.Option(help="Only this one's submission.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Side by side on this machine; default: its cores.")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="A Dask scheduler, in place of workers here.")] = None,
    unsafe: Annotated[bool, typer.Option("--unsafe", help="Without a sandbox, where none can be had.")] = False,
) -> None:
    """Grade what nbgrader has collected; what is graded already and has not changed is skipped."""
    from iaclab.grading import command

    if workers and scheduler:
        raise LabError(
            "Workers are either here or the scheduler's.", mend=f"iaclab grade {lab} --scheduler {scheduler}"
        )
    sys.exit(command.run(lab, student, workers, scheduler, unsafe, console))


@app.command()
def lab(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The first to try; the next free one is taken.")] = 8888,
    browser: Annotated[bool, typer.Option(help="Open the page.")] = True,
    root: Annotated[Path | None, typer.Option(help="The folder that JupyterLab shows; default: the clone.")] = None,
) -> None:
    """Open JupyterLab on the start page; Ctrl-C stops it and every service."""
    from iaclab import lab as module

    module.run(port, browser, root, lambda line: console.print(line, soft_wrap=True, highlight=False, markup=False))


@app.command()
def progress(
    open_page: Annotated[bool, typer.Option("--open", help="Go on where you were, as `iaclab resume`.")] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Ask every open check again, on what is there now.")
    ] = False,
    export: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a copy for another machine.")] = None,
    take: Annotated[Path | None, typer.Option("--import", metavar="FILE", help="Add another machine's passes.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show the way through the course, and how far you are."""
    from iaclab import learning_path
    from iaclab.checks import progress as kept
    from iaclab.show import path

    if take:
        new = kept.merge(take)
        console.print(f"{new} {'pass' if new == 1 else 'passes'} new from {take}", highlight=False, soft_wrap=True)
    if export:
        kept.export(export)
        console.print(f"written: {export}", highlight=False, soft_wrap=True)
    if take or export:
        return
    damaged = kept.damaged()
    if rebuild or damaged:
        from iaclab.rebuild import ask_again

        said = Console(stderr=True) if as_json else console  # a program reads what is on stdout
        if damaged:
            aside = kept.progress_file().parent / damaged
            earlier = f"The progress file was damaged and set aside as {aside}; what was whole in it is kept."
            said.print(kept.news(asked=True) or earlier, soft_wrap=True, highlight=False, markup=False)
        asked = ask_again(lambda lesson: said.print(f"asking  {lesson} …", highlight=False, markup=False))
        said.print(str(asked), soft_wrap=True, highlight=False, markup=False)
    parts = learning_path.parts()
    if as_json:
        print(json.dumps([_step_as_json(step) for part in parts for step in part.steps], indent=1))
        return
    console.print(path.table(parts, console.width))
    _resume("", browser=open_page)


@app.command()
def resume(
    lesson: Annotated[str, typer.Argument(help="A lesson, or the beginning of its name: 04.")] = "",
    browser: Annotated[bool, typer.Option(help="Open the page.")] = True,
) -> None:
    """Open the lesson at the first check that has not passed: the one opened last, or the next one."""
    _resume(lesson, browser=browser)


@tools_app.command("install")
def tools_install(
    names: Annotated[list[str] | None, typer.Argument(help="Tools; none means all that can be had.")] = None,
    lesson: Annotated[str | None, typer.Option("--for", help="Only what this lesson needs.")] = None,
) -> None:
    """Install tools: from PATH, the cache, the official release, a wheel, an image, or a pinned Go build."""
    from iaclab import tools
    from iaclab.tools.catalogue import catalogue

    wanted = list(names or [])
    if lesson:
        from iaclab import lessons
        from iaclab.platform import registry

        entry = lessons.lesson(lesson)
        wanted += [*entry.tools, *(t for s in registry.with_needs(list(entry.needs)) for t in s.tools)]
    optional: list[str] = []
    if not wanted:
        ours = [entry for entry in catalogue().values() if not entry.of_the_system]
        wanted = [entry.name for entry in ours if not entry.optional]
        optional = [entry.name for entry in ours if entry.optional]
    paths = tools.ensure(*wanted) | tools.attempt(*optional)
    console.print(f"{len(paths)} {'tool is' if len(paths) == 1 else 'tools are'} in place")
    if absent := [name for name in optional if name not in paths]:
        console.print(f"Optional and not here: {', '.join(absent)} (`iaclab doctor` says why).", soft_wrap=True)


@tools_app.command("list")
def tools_list() -> None:
    """List every tool: wanted and present version, and where it came from."""
    from iaclab import doctor as module

    module.print_tools(console)


@tools_app.command("outdated")
def tools_outdated() -> None:
    """Ask those who publish the tools which newer versions exist; nothing is changed."""
    from iaclab.tools import outdated

    sys.exit(outdated.print_table(console))


@tools_app.command("verify")
def tools_verify() -> None:
    """Run every installed tool's version command and compare with the catalogue."""
    from iaclab import doctor as module

    sys.exit(module.verify(console))


def _resume(lesson: str, *, browser: bool) -> None:
    from iaclab import learning_path
    from iaclab import resume as module
    from iaclab.checks import progress as kept

    place = learning_path.next_place(lesson)
    for line in [*kept.news().splitlines(), *module.go(place, browser=browser)]:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _step_as_json(step: Step) -> dict[str, object]:
    return {
        "lesson": step.lesson.id if step.lesson else None,
        "title": step.title,
        "state": step.state,
        "after": list(step.lesson.after) if step.lesson else [],
        "minutes": step.minutes,
        "passed": sorted(step.passed),
        "checks": [one.check for one in step.exercises],
        "points": step.points,
        "worth": step.worth,
    }


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
