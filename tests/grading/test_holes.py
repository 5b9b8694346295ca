"""Ways past the grader that were open once: each is tried here, in a real sandbox."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter
from traitlets.config import Config

from iaclab.build.lab import Graded as Entry
from iaclab.errors import LabError
from iaclab.grading import Graded, Limits, World, grade
from iaclab.grading.learners import believed
from iaclab.grading.nbgrader_settings import configure
from iaclab.grading.seal import broken, seal

MB = 1 << 20
LIMITS = Limits(cell=60, notebook=240, look=60, memory=300 * MB, disk=50 * MB, file=20 * MB)
HIDDEN = """
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from iaclab.checks.record import Check
from iaclab.grading import confined


def check(probe, expect=bool):
    return Check("a title", probe, expect, ("a", "b", "c"), within=0, points=2, needs=())


def runs(profile):
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, str(Path("program.py").absolute())]
        done = confined.run(argv, folder=Path(folder), env={"PATH": os.defpath}, timeout=60)
        return done.returncode, done.stdout.strip(), done.stderr.strip()[-200:]


def elsewhere(profile):
    link = Path(tempfile.mkdtemp()) / "link"
    link.symlink_to("/home")
    return confined.run(["/bin/true"], folder=link, env={}, timeout=60).returncode == 0


def beside(profile):
    program = Path("beside.py").read_text()
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60).stdout.strip()


CHECKS = {
    "tiny.runs": check(runs, lambda seen: seen[1] == "done"),
    "tiny.elsewhere": check(elsewhere),
    "tiny.beside": check(beside, lambda seen: seen == "never"),
    "tiny.file": check(lambda profile: Path("file.txt").read_text(), lambda seen: seen == "right"),
}
"""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World.open("tiny", needs=()) as opened:
        yield opened


def hand_in(folder: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    path = folder / "tiny.ipynb"
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))
    return path


def judged(world: World, folder: Path, names: list[str], *sources: str) -> Graded:
    hidden = folder / "hidden.py"
    hidden.write_text(HIDDEN)
    table = [Entry("tiny", "check", 0, check="argocd.components", hidden=tuple(names))]
    return grade(hand_in(folder, *sources), "tiny", world=world, limits=LIMITS, hidden=hidden, table=table)


def said(result: Graded) -> str:
    return "".join(output.get("text", "") for cell in result.notebook.cells for output in cell.get("outputs", []))


# Before the kernel is ready it has bound its sockets, and a file of the submission's own has run.
REPLACES = '''
from pathlib import Path

folder = Path.home() / ".ipython/profile_default/startup"
folder.mkdir(parents=True, exist_ok=True)
(folder / "a.py").write_text("""
import os
from pathlib import Path

for path in Path("/sockets").iterdir():
    if path.suffix != ".json":
        path.unlink()
        path.symlink_to("@HOST@")
""")
import os
os._exit(1)
'''


def test_a_kernel_whose_sockets_are_links_is_dead(world: World, tmp_path: Path) -> None:
    calls: list[Any] = []
    with socket.socket(socket.AF_UNIX) as door:
        place = Path("/tmp") / f"iaclab-door-{os.getpid()}"
        door.bind(str(place))
        try:
            door.listen()
            threading.Thread(target=lambda: calls.append(door.accept()), daemon=True).start()
            result = judged(world, tmp_path, [], REPLACES.replace("@HOST@", str(place)), "print('ran')")
        finally:
            place.unlink()
        assert calls == []
    assert "ran" not in said(result)
    assert "replaced" in str(result.report.cells), result.report


def test_a_closed_work_folder_costs_no_points(world: World, tmp_path: Path) -> None:
    source = "import os\nopen('file.txt', 'w').write('right')\nos.chmod('.', 0o{})"
    for mode in ("666", "000"):
        result = judged(world, tmp_path, ["tiny.file"], source.format(mode))
        assert result.verdicts["hidden:tiny.file"].points == 2, result.verdicts


WRITES = """
from pathlib import Path
wrote = []
for folder in ("/scratch", "/scratch/home", "/scratch/tmp", "/home", "/workspace", ".."):
    try:
        (Path(folder) / "evil").write_text("x")
        wrote.append(folder)
    except OSError:
        pass
Path("own").write_text("x")
print(wrote or "done")
"""


def test_a_learners_program_writes_to_its_own_folder_alone(world: World, tmp_path: Path) -> None:
    names = ["tiny.runs", "tiny.elsewhere", "tiny.file"]
    result = judged(world, tmp_path, names, f"open('program.py', 'w').write({WRITES!r})")
    assert result.verdicts["hidden:tiny.runs"].passed, result.verdicts
    assert not result.verdicts["hidden:tiny.elsewhere"].passed


# A program that runs beside the judge, by whatever way: it can neither read the judge nor speak for it.
BESIDE = """
import glob
import json
import os

parent, found = os.getppid(), []
try:
    open(f"/proc/{parent}/mem", "rb").close()
    found.append("memory")
except OSError:
    pass
forged = {"check": "hidden:tiny.file", "title": "", "passed": True, "seen": "", "points": 2, "of": 2, "hint": ""}
for pipe in glob.glob(f"/proc/{parent}/fd/*"):
    try:
        handle = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        os.write(handle, json.dumps({"verdict": forged}).encode() + b"\\\\n")
        found.append(pipe)
    except OSError:
        pass
print(found or "never")
"""


def test_what_runs_beside_the_judge_cannot_look_into_it(world: World, tmp_path: Path) -> None:
    source = f"open('beside.py', 'w').write('''{BESIDE}''')"
    result = judged(world, tmp_path, ["tiny.beside", "tiny.file"], source)
    assert result.verdicts["hidden:tiny.beside"].passed, result.verdicts
    assert not result.verdicts["hidden:tiny.file"].passed


MEMORY = """
import os, time
for number in range(9):
    if os.fork() == 0:
        kept = b"x" * (60 << 20)
        time.sleep(15)
        os._exit(0)
time.sleep(15)
print("done")
"""
DISK = """
import time
for number in range(9):
    with open(f"part-{number}", "wb") as file:
        file.write(b"x" * (10 << 20))
time.sleep(15)
print("done")
"""


@pytest.mark.parametrize(("program", "why"), [(MEMORY, "of memory"), (DISK, "it wrote")], ids=["memory", "disk"])
def test_a_learners_program_has_limits(world: World, tmp_path: Path, program: str, why: str) -> None:
    result = judged(world, tmp_path, ["tiny.runs"], f"open('program.py', 'w').write({program!r})")
    verdict = result.verdicts["hidden:tiny.runs"]
    assert not verdict.passed
    assert why in verdict.seen, verdict


@pytest.mark.parametrize(
    ("files", "links"),
    [
        ({"/tmp/file": [0o600, "x"]}, {}),
        ({"profiles/../../../tmp/file": [0o600, "x"]}, {}),
        ({"profiles/away/file": [0o600, "x"]}, {"profiles/away": "/tmp"}),
        ({}, {"away": "/tmp", "away/file": "/etc"}),
        ({"file": [0o4755, "x"]}, {}),
        ({str(number): [0o600, ""] for number in range(5000)}, {}),
    ],
    ids=["absolute", "upwards", "through a link", "link below a link", "setuid", "many"],
)
def test_what_the_services_say_of_files_is_not_believed(files: dict[str, Any], links: dict[str, str]) -> None:
    with pytest.raises(LabError):
        believed({"env": {}, "files": files, "links": links})
    right = {"env": {"A": "b"}, "files": {"profiles/graded/pki/ca.crt": [0o600, "x"]}, "links": {}}
    assert believed(right) == right


def test_a_seal_breaks_with_what_no_submission_may_change(tmp_path: Path) -> None:
    for name in ("pki/ca.crt", "snapshots/cluster.json", "cluster/kubeconfig", "logs/x.conf", "git/hooks/update"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("x")
    before = seal(tmp_path)
    (tmp_path / "logs/x.conf").write_text("y")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/new").write_text("made on first use")
    assert broken(before, tmp_path) == []
    (tmp_path / "pki/ca.crt").write_text("y")
    (tmp_path / "cluster/kubeconfig").unlink()
    (tmp_path / "snapshots/cluster.json").unlink()
    (tmp_path / "snapshots/cluster.json").symlink_to("/etc/passwd")
    (tmp_path / "git/hooks/pre-receive").write_text("y")
    expected = ["cluster/kubeconfig", "git/hooks/pre-receive", "pki/ca.crt", "snapshots/cluster.json"]
    assert sorted(broken(before, tmp_path)) == expected


def test_a_learners_markdown_runs_no_script(tmp_path: Path) -> None:
    config = Config()
    configure(config)
    cell = nbformat.v4.new_markdown_cell("**kept** <img src=x onerror='evil()'> <svg onload='evil()'></svg>")
    page, _ = HTMLExporter(config=config).from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert "<strong>kept</strong>" in page
    assert "evil()" not in page or not re.search(r"<(img|svg)[^>]*on(error|load)", page)
