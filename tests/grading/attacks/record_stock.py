"""Records what stock nbgrader makes of each attack: `python tests/grading/attacks/record_stock.py [NAME…]`, as root.

Root, because each person of the town is a user of its own then, and an attack runs as the teacher with limits on
processes, memory and files. What would harm the machine all the same is not run. The result is `stock.toml`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil
from attacks import reading
from attacks.batch import School, marked
from attacks.listening import Host
from attacks.reading import LAB, NOTEBOOK, Attack
from nbgrader.api import Gradebook  # type: ignore[import-untyped]
from town import GOOD, PEOPLE, SEVERAL, TEACHER

RECORD = Path(__file__).with_name("stock.toml")
HARM = "it would harm the machine"
SECONDS = 300  # that stock nbgrader gets for one submission
LIMITS = ["prlimit", "--nproc=150", "--data=2000000000", "--fsize=60000000", "--core=0", "--"]
VICTIM = "00-honest"
TESTS = {
    "lab9-region": 'assert open("region.txt").read().strip() == "eu-west-1"',
    "lab9-gpus": "import subprocess\nimport sys\n\n"
    'said = subprocess.run([sys.executable, "gpus.py", "8", "8", "4"], capture_output=True, text=True, timeout=60)\n'
    'assert said.stdout.strip() == "20"',
    "lab9-nodes": 'import json\n\nnodes = json.load(open("nodes.json"))\nassert len(nodes) == 3\n'
    "### BEGIN HIDDEN TESTS\n# @CANARY-HIDDEN@\nassert len(set(nodes)) == len(nodes)\n### END HIDDEN TESTS",
    "question-total": "### BEGIN HIDDEN TESTS\nassert ANSWER == 24\n### END HIDDEN TESTS",
}
CONFIG = 'c = get_config()\nc.CourseDirectory.course_id = "iaclab"\nc.Exchange.root = "{exchange}"\n'


class Stock(School):
    """The town, with nbgrader as it comes and a course folder of its own."""

    def __init__(self, marks: dict[str, str]) -> None:
        super().__init__(marks)
        self.run(TEACHER, "python", "iaclab.build", "--instructor")
        instructors = self.inside / "source" / LAB / NOTEBOOK
        self.plain = self._folder("stock")
        (self.plain / "nbgrader_config.py").write_text(CONFIG.format(exchange=self.exchange))
        source = self.plain / "source" / LAB
        source.mkdir(parents=True)
        (source / NOTEBOOK).write_text(json.dumps(_with_plain_tests(json.loads(instructors.read_text()), marks)))
        self.own(self.plain, TEACHER)
        self.plainly("generate_assignment", LAB)
        self.plainly("release_assignment", LAB)

    def env(self, who: str) -> dict[str, str]:
        """Without this course's settings for nbgrader."""
        env = super().env(who)
        return env | {"JUPYTER_CONFIG_PATH": str(self.base / "nowhere"), "JUPYTER_RUNTIME_DIR": "/tmp/stock-runtime"}

    def plainly(self, *argv: str) -> tuple[int | None, str]:
        """Run stock nbgrader with limits; the exit status is None where it did not end in time."""
        command = [*LIMITS, sys.executable, "-m", "nbgrader", *argv]
        process = self.start(TEACHER, *command, cwd=self.plain)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None, self._said()
        return process.returncode, self._said()

    def _said(self) -> str:
        return (self.base / "started.log").read_text(errors="replace")


def _with_plain_tests(notebook: dict[str, Any], marks: dict[str, str]) -> dict[str, Any]:
    """The instructor's notebook as stock nbgrader would have it: tests are cells with asserts."""
    values = {f"CANARY-{place.upper()}": value for place, value in marks.items()}
    kept = []
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if "iaclab.prepare" in cell["source"]:
            cell["source"] = "import os"
        if name in TESTS:
            cell["source"] = reading.insert(TESTS[name], values)
        if "solution" in cell["metadata"].get("tags", []) or name == "answer-total":
            cell["source"] = f"### BEGIN SOLUTION\n{cell['source']}\n### END SOLUTION" if name else ""
        kept.append(cell)
    notebook["cells"] = [cell for cell in kept if cell["source"]]
    return notebook


def main(names: list[str]) -> None:
    """Run every attack on stock nbgrader, or those called `names`, and write the record."""
    assert SEVERAL, "only as root: an attack must run as another user"
    PEOPLE.update({name: uid + 500 for name, uid in PEOPLE.items()})  # users that no other town has: an attack kills
    marks = reading.canaries()
    with Stock(marks) as town, Host(town.base, marks["network"]) as host:
        _prepare(town)
        record: dict[str, Any] = tomllib.loads(RECORD.read_text()) if names else {}
        for attack in reading.attacks():
            if "platform" in attack.more or (names and attack.name not in names):
                continue
            record[attack.name] = {"not_run": HARM} if attack.harmful else _try(town, host, attack)
            print(attack.name, record[attack.name], flush=True)
            _write(record)


def _write(record: dict[str, Any]) -> None:
    lines = [
        "# What stock nbgrader makes of each attack. Written by record_stock.py; not to be edited by hand.",
        f'nbgrader = "{version("nbgrader")}"',
        f'date = "{time.strftime("%Y-%m-%d")}"',
    ]
    for name in sorted(name for name, found in record.items() if isinstance(found, dict)):
        lines += ["", f'["{name}"]']
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in record[name].items()]
    RECORD.write_text("\n".join(lines) + "\n")


def _prepare(town: Stock) -> None:
    """An honest submission is there and graded, and the gradebook holds a secret."""
    reading.honest(
        town.plain / "release" / LAB / NOTEBOOK, town.plain / "submitted" / VICTIM / LAB, town.marks["neighbour"]
    )
    town.own(town.plain, TEACHER)
    with Gradebook(f"sqlite:///{town.plain / 'gradebook.db'}") as gradebook:
        gradebook.add_student("victim", first_name=town.marks["gradebook"])
    town.own(town.plain, TEACHER)
    status, said = town.plainly("autograde", LAB)
    assert status == 0 and _points(town, VICTIM) == 100, said[-3000:]


def _try(town: Stock, host: Host, attack: Attack) -> dict[str, Any]:
    """Grade one attack, note what came of it, and bring everything back."""
    kept = town.base / "kept"
    shutil.copytree(town.plain, kept, symlinks=True)
    calls = len(host.calls)
    name, status, said = _graded(town, host, attack)
    time.sleep(0.5)
    text = _text(town, name)
    found: dict[str, Any] = {"points": _points(town, name)}
    if attack.inbound and name == GOOD:
        found["counts_for"] = name
    if "early" in attack.more:
        found["early"] = "2001" in (town.plain / "submitted" / name / LAB / "timestamp.txt").read_text()
    found["leaked"] = sorted(place for place, value in town.marks.items() if value in text)
    found["changed"] = _changed(kept, town.plain, name)
    found["victim"] = _points(town, VICTIM)
    found["outlived"] = sorted(marked(host.port))
    found["calls"] = sorted(set(host.calls[calls:]))
    if status != 0:
        found["ended"] = "not in time" if status is None else _last(said.replace(str(town.base), "…"))
    if "evil84" in text and "<script>" in text:
        found["scripts"] = True
    _end_all()
    shutil.rmtree(town.plain)
    shutil.copytree(kept, town.plain, symlinks=True)
    shutil.rmtree(kept)
    town.own(town.plain, TEACHER)
    return {
        key: value for key, value in found.items() if value not in ([], "", None) and (key, value) != ("victim", 100)
    }


def _graded(town: Stock, host: Host, attack: Attack) -> tuple[str, int | None, str]:
    released = town.plain / "release" / LAB / NOTEBOOK
    values = {"REPO": str(town.repo), "COURSE": str(town.plain), "PYTHON": sys.executable, **host.values()}
    if not attack.inbound:
        attack.hand_in(released, town.plain / "submitted" / attack.name / LAB, values)
        town.own(town.plain / "submitted" / attack.name, TEACHER)
        return (attack.name, *town.plainly("autograde", LAB, f"--student={attack.name}"))
    name = attack.inbound.partition("+")[0]
    folder = town.exchange / "iaclab" / "inbound" / attack.inbound
    attack.hand_in(released, folder, values)
    town.own(folder, attack.by or name)
    status, said = town.plainly("collect", LAB)
    shutil.rmtree(folder)
    if status == 0:
        status, said = town.plainly("autograde", LAB, f"--student={name}")
    return name, status, said


def _points(town: Stock, name: str) -> float | None:
    with Gradebook(f"sqlite:///{town.plain / 'gradebook.db'}") as gradebook:
        for submission in gradebook.assignment_submissions(LAB):
            if submission.student.id == name:
                return float(submission.score)
    return None


def _text(town: Stock, name: str) -> str:
    """What the student gets to see: the graded notebook's outputs."""
    path = town.plain / "autograded" / name / LAB / NOTEBOOK
    if not path.exists():
        return ""
    cells = json.loads(path.read_text())["cells"]
    return json.dumps([cell.get("outputs", []) for cell in cells]).replace('\\"', '"')


def _changed(before: Path, after: Path, name: str) -> list[str]:
    """Files of the course, other than the submission's own, that are not what they were."""
    found = []
    for path in sorted(before.rglob("*")):
        place = path.relative_to(before)
        own = name in place.parts or place.name.startswith("gradebook.db") or "__pycache__" in place.parts
        if path.is_file() and not path.is_symlink() and not own:
            now = after / place
            if not now.exists() or _hash(now) != _hash(path):
                found.append(str(place.parts[0]))
    return sorted(set(found))


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _last(said: str) -> str:
    """The last error in nbgrader's words."""
    lines = [line for line in said.splitlines() if re.match(r"[A-Za-z.]*(Error|Exception)\b", line)]
    return " ".join(lines[-1].split())[:160] if lines else "with an error"


def _end_all() -> None:
    """End every process of the user as whom attacks run."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == PEOPLE[TEACHER]:
                process.kill()


if __name__ == "__main__":
    main(sys.argv[1:])
