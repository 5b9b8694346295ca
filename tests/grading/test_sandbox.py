"""What a submission can see, reach and use: each by a real kernel in a real sandbox that tries."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

from iaclab import paths
from iaclab.errors import LabError
from iaclab.grading import Limits, Report, World, cgroup, mounts, network, runner
from iaclab.grading.desk import Desk

MB = 1 << 20
SMALL = Limits(
    cell=60,
    notebook=240,
    memory=300 * MB,
    process_memory=400 * MB,
    processes=60,
    file=40 * MB,
    disk=60 * MB,
    files=2000,
    kept=2000,
    flood=2 * MB,
)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World.open("tiny", needs=()) as made:
        yield made


def run(world: World, desk: Desk, *sources: str, limits: Limits = SMALL) -> tuple[list[str], Report]:
    """What each cell says, and the report."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    report = runner.run(nbformat.v4.new_notebook(cells=cells), world, desk, limits)
    return [_said(cell) for cell in cells], report


def tried(world: World, *sources: str, limits: Limits = SMALL) -> tuple[list[str], Report]:
    """As `run`, on a new desk."""
    with world.desk() as desk:
        return run(world, desk, *sources, limits=limits)


def _said(cell: Any) -> str:
    return "".join(output.get("text", output.get("evalue", "")) for output in cell.outputs)


def left_behind(world: World) -> list[str]:
    """Processes of the world's user; for an ordinary user, those below it that are not the world's own."""
    assert world.network
    with contextlib.suppress(psutil.Error):
        return [p.name() for p in psutil.process_iter() if p.uids().real == world.network.uid and world.network.is_root]
    return []


def test_sees_the_system_the_tools_and_its_own_files_only(world: World, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of another one")
    root = paths.repo_root()
    assert root
    hidden = [secret, root / "content", root / "tests", root / "grading", root / ".git", Path("/etc/shadow")]
    hidden += [world.base, world.base / "state", Path.home() / ".ssh", Path("/var/log"), Path("/proc/1/root/var/log")]
    names = [str(path) for path in hidden]
    with world.desk() as other, world.desk() as desk:
        (other.work / "solution.txt").write_text("of another one")
        names.append(str(other.work / "solution.txt"))
        said, report = run(
            world,
            desk,
            f"import os\nprint([name for name in {names} if os.path.exists(name)])",
            "print(open('/proc/self/environ').read().split('\\0')[0], os.getcwd(), os.getuid())",
            "import glob\nprint(len(glob.glob('/proc/[0-9]*')), os.environ.get('SECRET_OF_THE_GRADER'))",
            "%%bash\ncat /proc/1/environ\nfind / -name 'lab[0-9]*.*' -not -path '/proc/*' 2>/dev/null; true",
            limits=dataclasses.replace(SMALL, cell=90, notebook=150),  # the whole disk is read
        )
    assert said[0].strip() == "[]"
    assert said[1].split()[1:] == ["/workspace/tiny", "1000"]
    assert said[2].split() == ["2", "None"], "what holds the sandbox, and the kernel"
    assert set(said[3].split("\0")[:-1]) == {"PATH=/usr/bin:/bin", "PWD=/"}, "nothing of the grader's"
    assert "lab1" not in said[3]
    assert report.cells == []


def test_a_course_below_tmp_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="clone-") as folder:
        Path(folder).chmod(0o755)
        Path(folder, "part.txt").write_text("of the course\n")
        shown = (*mounts.shown(), Path(folder))
        monkeypatch.setattr(mounts, "shown", lambda: shown)
        with World.open("tiny", needs=()) as world:
            said, _ = tried(world, f"print(open({folder + '/part.txt'!r}).read(), open('/tmp/own', 'w').write('x'))")
    assert said[0].split() == ["of", "the", "course", "1"]


def test_environment_of_the_grader_is_nowhere(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_GRADER", "gradebook-password")
    said, _ = tried(
        world,
        "import glob\nfound = b''.join(open(name, 'rb').read() for name in glob.glob('/proc/[0-9]*/environ'))\n"
        "print(b'gradebook-password' in found, len(found) > 0)",
    )
    assert said[0].split() == ["False", "True"]


def test_cannot_write_what_others_read(world: World) -> None:
    import iaclab

    targets = [
        Path(iaclab.__file__),
        Path("/usr/bin/x"),
        Path("/etc/x"),
        Path("/x"),
        Path("/dev/x"),
        Path("/proc/sys/x"),
    ]
    said, _ = tried(
        world,
        f"for name in {[str(t) for t in targets]}:\n    try:\n        open(name, 'a')\n        print('WROTE', name)\n"
        "    except OSError as error:\n        print(error.strerror)",
        "import ctypes\nlibc = ctypes.CDLL(None)\n"
        "print([libc.unshare(flag) for flag in (0x10000000, 0x20000, 0x40000000)],"
        " libc.mount(b'x', b'/tmp', b'tmpfs', 0, None))",
    )
    assert "WROTE" not in said[0]
    assert said[1].strip() == "[-1, -1, -1] -1"


def test_no_way_to_the_hosts_network(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0iaclab-host-{os.getpid()}")
        abstract.listen()
        port = server.getsockname()[1]
        said, _ = tried(
            world,
            f"import socket\nfor where in [('127.0.0.1', {port}), ('192.0.2.1', 80)]:\n    try:\n"
            "        socket.create_connection(where, 2)\n        print('CONNECTED')\n"
            "    except OSError as error:\n        print(error.strerror)\n"
            f"try:\n    socket.socket(socket.AF_UNIX).connect('\\0iaclab-host-{os.getpid()}')\n    print('CONNECTED')\n"
            "except OSError as error:\n    print(error.strerror)",
            "server = socket.create_server(('127.0.0.1', 0))\n"
            "print(bool(socket.create_connection(server.getsockname(), 2)))",
        )
    assert said[0].split("\n")[:3] == ["Connection refused", "Network is unreachable", "Connection refused"]
    assert said[1].strip() == "True", "its own loopback works"


def test_memory_bomb_gets_an_error_and_many_are_ended(world: World) -> None:
    said, report = tried(
        world,
        "try:\n    bytearray(450 << 20)\nexcept MemoryError:\n    print('MemoryError')",
        "import os, time\nfor _ in range(6):\n    if os.fork() == 0:\n        x = b'x' * (90 << 20)\n"
        "        time.sleep(60)\ntime.sleep(60)",
        "print('later')",
    )
    assert said[0].strip() == "MemoryError"
    assert [(cell.index, cell.what) for cell in report.cells] == [(1, "killed")]
    assert "memory" in report.cells[0].why
    assert said[2].strip() == "later" and report.restarts == 1


def test_memory_without_a_process_counts(world: World) -> None:
    _, report = tried(
        world,
        "import os\nkept = []\nfor number in range(4):\n    kept.append(os.memfd_create(str(number)))\n"
        "    os.write(kept[-1], b'x' * (30 << 20))\nimport time; time.sleep(30)",
    )
    assert [cell.what for cell in report.cells] == ["killed"] and "wrote" in report.cells[0].why


def test_control_groups_are_made_where_they_can_be() -> None:
    group = cgroup.make(SMALL)
    if group is None:
        return  # this machine hands down no controllers of version 2: the watcher and the kernel's limits work alone
    try:
        assert (group.folder / "memory.max").read_text().strip() == str(SMALL.memory)
        assert (group.folder / "pids.max").read_text().strip() == str(SMALL.processes)
    finally:
        group.close()
    assert not group.folder.exists()


def test_fork_bomb_does_not_starve_a_neighbour(world: World) -> None:
    bomb = (
        "import os, time\nend = time.time() + 4\nwhile time.time() < end:\n    try:\n        os.fork()\n"
        "    except OSError:\n        time.sleep(0.1)"
    )
    with World.open("tiny", needs=()) as neighbour:
        seen: list[tuple[list[str], Report]] = []
        thread = threading.Thread(target=lambda: seen.append(tried(world, bomb)))
        thread.start()
        time.sleep(1)
        started = time.monotonic()
        said, report = tried(neighbour, "import os, subprocess\nprint(subprocess.check_output(['echo', 'fine']))")
        took = time.monotonic() - started
        most = len([p for p in psutil.process_iter() if world.network and p.uids().real == world.network.uid])
        thread.join()
    assert said[0].strip() == r"b'fine\n'" and report.cells == []
    assert took < 60
    if os.geteuid() == 0:
        assert most <= SMALL.processes + 4, "counted for each sandbox by itself, whatever else the user runs"
    assert left_behind(world) == []


def test_disk_filler_is_ended(world: World) -> None:
    said, report = tried(
        world,
        "try:\n    open('big', 'wb').write(b'x' * (50 << 20))\nexcept OSError as error:\n    print(error.strerror)",
        "import time\nfor number in range(10):\n    open(f'{number}', 'wb').write(b'x' * (10 << 20))\n"
        "    time.sleep(0.3)\ntime.sleep(30)",
    )
    assert said[0].strip() == "File too large"
    assert (report.cells[-1].index, report.cells[-1].what) == (1, "killed") and "wrote" in report.cells[-1].why


def test_deleted_files_and_many_files_count_too(world: World) -> None:
    _, report = tried(
        world,
        "import os, time\nkept = []\nfor number in range(4):\n    kept.append(open('x', 'wb'))\n    os.unlink('x')\n"
        "    kept[-1].write(b'x' * (20 << 20))\n    kept[-1].flush()\ntime.sleep(30)",
        "for number in range(4000):\n    open(str(number), 'w').close()\nimport time\ntime.sleep(30)",
    )
    assert [cell.what for cell in report.cells] == ["killed", "killed"]
    assert "files" in report.cells[1].why


def test_what_a_killed_cell_left_does_not_end_the_cells_after_it(world: World) -> None:
    fill = "import os, time\nos.makedirs({0!r})\nfor n in range(2500):\n    open(f{1!r}, 'w').close()\ntime.sleep(30)"
    slow = "import time\ntime.sleep(1.5)\nprint('done')"
    said, report = tried(world, *(part for name in "abc" for part in (fill.format(name, name + "/{n}"), slow)))
    assert [(cell.index, cell.what) for cell in report.cells[:3]] == [(0, "killed"), (2, "killed"), (4, "killed")]
    assert [text.strip() for text in said[1:4:2]] == ["done", "done"], "its files are not counted again"
    assert "files" in said[5], "but not for ever"


def test_detached_child_does_not_outlive_the_submission(world: World) -> None:
    with world.desk() as desk:
        run(
            world,
            desk,
            "%%bash\nsetsid nohup sh -c 'while true; do date +%s.%N > alive; sleep 0.1; done' > /dev/null 2>&1 &",
            "import time\ntime.sleep(0.5)\nprint(open('alive').read())",
        )
        before = (desk.work / "alive").read_text()
        time.sleep(0.5)
        assert (desk.work / "alive").read_text() == before
    assert left_behind(world) == []


def test_desks_are_new_and_removed(world: World) -> None:
    with world.desk() as desk:
        run(world, desk, "open('/home/learner/mine', 'w')\nopen('/tmp/mine', 'w')\nopen('mine', 'w')")
        root = desk.root
        assert (desk.work / "mine").exists()
    assert not root.exists()
    said, _ = tried(world, "import os\nprint([os.listdir(f) for f in ('.', '/tmp', '/state')])")
    assert said[0].strip() == "[[], [], []]"


def test_closed_and_deep_folders_are_removed_too(world: World) -> None:
    with world.desk() as desk:
        run(
            world,
            desk,
            "import os\nfor _ in range(300):\n    os.mkdir('d')\n    os.chdir('d')\nopen('x', 'w')",
            "import os\nos.chdir('/workspace/tiny')\nos.mkdir('closed')\nopen('closed/x', 'w')\nos.chmod('closed', 0)",
        )
        root = desk.root
    assert not root.exists()


def test_kernels_of_a_world_share_nothing(world: World) -> None:
    said, _ = tried(world, "import json\njson.left = 1\nimport iaclab\niaclab.left = 2\nprint('set')")
    assert said[0].strip() == "set"
    said, _ = tried(world, "import json, iaclab\nprint(hasattr(json, 'left'), hasattr(iaclab, 'left'))")
    assert said[0].split() == ["False", "False"]


def test_kernels_start_warm(world: World) -> None:
    """A fork of what has imported everything, not a new interpreter."""
    said, _ = tried(
        world,
        "import sys\nfrom pathlib import Path\nprint(Path('/proc/self/cmdline').read_text().split('\\0'))\n"
        "print({'IPython.core.debugger', 'iaclab.checks.argocd', 'httpx', 'yaml'} - set(sys.modules))",
    )
    command, missing = said[0].splitlines()
    assert "iaclab.grading.zygote" in command and missing == "set()", said[0]


def test_a_closed_world_leaves_nothing() -> None:
    world = World.open("tiny", needs=())
    base, pid = world.base, world.network.pid if world.network else 0
    world.close()
    assert not base.exists()
    assert not psutil.pid_exists(pid)


def names(processes: list[psutil.Process]) -> set[str]:
    """The names of those that are there."""
    found = set()
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.add(process.name())
    return found


@pytest.mark.parametrize("needs", [(), pytest.param(("git",), marks=pytest.mark.platform)])
def test_a_killed_grader_leaves_no_process(needs: tuple[str, ...]) -> None:
    script = (
        "import asyncio, time\nfrom iaclab.grading import Limits, World\nfrom iaclab.grading.kernel import Kernel\n"
        f"world = World.open('tiny', needs={needs})\nasync def main():\n    with world.desk() as desk:\n"
        "        kernel = Kernel(world, desk, Limits())\n        await kernel.wait_ready()\n"
        '        kernel.client.execute(\'import os; os.spawnlp(1, "setsid", "setsid", "sleep", "600")\')\n'
        "        print(world.base, flush=True)\n        time.sleep(600)\nasyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as grader:
        assert grader.stdout
        try:
            base = Path(grader.stdout.readline().strip())
            below, deadline = psutil.Process(grader.pid).children(recursive=True), time.monotonic() + 180
            while "sleep" not in names(below) and time.monotonic() < deadline:
                time.sleep(0.2)
                below = psutil.Process(grader.pid).children(recursive=True)
            seen = names(below)
        finally:
            grader.kill()
    assert "sleep" in seen, "what the submission had detached"
    _, alive = psutil.wait_procs(below, timeout=60)
    assert alive == []
    World.open("tiny", needs=()).close()
    assert not base.exists(), "the next world removes the folder"


def test_what_holds_the_sandbox_cannot_be_ended_from_within(world: World) -> None:
    said, report = tried(world, "import os\nos.kill(1, 9)\nos.kill(1, 19)\nprint('still here')")
    assert said[0].strip() == "still here" and report.cells == []


def test_refuses_without_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network.shutil, "which", lambda name, **_: None)
    with pytest.raises(LabError, match="cannot be sandboxed") as caught:
        World.open("tiny", needs=())
    assert "nsenter" in caught.value.why and "--unsafe" in caught.value.mend


def test_unsafe_runs_without_a_sandbox() -> None:
    with World.open("tiny", needs=(), unsafe=True) as world:
        said, report = tried(world, "import os\nprint(os.getcwd(), os.path.exists('/etc/shadow'))")
        assert said[0].split() == [said[0].split()[0], "True"]
        assert str(world.base) in said[0] and report.cells == []
