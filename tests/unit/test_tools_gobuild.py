"""Pinned Go builds, real ones, of tiny modules: edits, several tools at once, and what a stopped build leaves."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from gomodules import GO, go_environment, publish, tool_module
from mirror import Mirror
from test_tools_install import namespaces
from toolbox import Toolbox, until

from iaclab import tools
from iaclab.errors import LabError
from iaclab.tools import board, found, gobuild
from iaclab.tools.catalogue import tool

HELLO = 'package main\n\nvar version = "unset"\n\nfunc main() { println("hello version", version) }\n'
LARGE = 'package main\n\nimport _ "net/http"\n\nfunc main() { println("large version 1.2.3") }\n'  # has many packages
MODULE = "lab.test/hello"
ENTRY = """
[tools.{name}]
version = "1.2.3"
go = {{ module = "hello", package = "lab.test/hello/{package}", output = "{output}" }}
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build cache for all tests here: the runtime compiles once."""
    return tmp_path_factory.mktemp("go-build")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: Path) -> Iterator[Toolbox]:
    if not shutil.which("go"):
        pytest.skip("Go is not installed: there is nothing to build with")
    for name, value in go_environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(gobuild, "TOOLCHAIN", "local")
    publish(tmp_path, MODULE, "v1.2.3", {
        "cmd/hello/main.go": HELLO,
        "cmd/large/main.go": LARGE,
        "edited/main.go": HELLO.replace('"unset"', '"0.0.0"'),
        "data/one.yaml": "one: 1\n",
        "data/two.yaml": "two: 2\n",
    })  # fmt: skip
    packages = [f"{MODULE}/cmd/hello", f"{MODULE}/cmd/large", f"{MODULE}/edited"]
    tool_module(tmp_path / "clone", "hello", MODULE, "v1.2.3", packages)
    with Mirror() as mirror:
        box = Toolbox(tmp_path, monkeypatch, mirror)
        box.cache.mkdir()
        (box.cache / "go-build").symlink_to(compiled)
        box.add(GO + '[go.hello]\nldflags = ["-X main.version=1.2.3"]\n')
        yield box


def version(path: Path) -> str:
    return subprocess.run([path], capture_output=True, text=True, check=True).stderr


def at_work(box: Toolbox) -> list[str]:
    """Processes of Go that work for this cache."""
    names = []
    for process in psutil.process_iter():
        try:
            if process.name() in ("go", "compile", "link", "asm") and str(box.cache) in process.environ().get(
                "GOCACHE", ""
            ):
                names.append(process.name())
        except psutil.Error:
            continue
    return names


def test_programs_and_files_of_one_module_come_from_one_build(box: Toolbox) -> None:
    box.add(ENTRY.format(name="hello", package="cmd/hello", output=""))
    box.add(f"""
[tools.rules]
data = true
version = "1.2.3"
go = {{ module = "hello", copy_from = "{MODULE}", copy = ["data/*.yaml"] }}
""")
    got = tools.ensure("hello", "rules", quiet=True)
    assert version(got["hello"]) == "hello version 1.2.3\n"
    assert sorted(path.name for path in got["rules"].glob("[!.]*")) == ["one.yaml", "two.yaml"]
    assert {tools.find(name).source for name in got} == {"go build"}  # type: ignore[union-attr]
    assert not box.leftovers()


def edit(old: str, new: str) -> str:
    return f"""
[[go.hello.edits]]
module = "{MODULE}"
file = "edited/main.go"
old = '{old}'
new = '{new}'
"""


def test_an_edit_is_made_in_a_copy_of_the_module(box: Toolbox, tmp_path: Path) -> None:
    box.add(edit('var version = "0.0.0"', 'var version, edited = "", "1.2.3"') + edit("version)", "edited)"))
    box.add(ENTRY.format(name="edited", package="edited", output=""))
    assert version(tools.ensure("edited", quiet=True)["edited"]) == "hello version 1.2.3\n"
    original = tmp_path / "modules" / f"{MODULE}@v1.2.3" / "edited" / "main.go"
    assert '"0.0.0"' in original.read_text(), "the module cache was changed"


@pytest.mark.parametrize("old", ["not there", "version"])
def test_an_edit_that_does_not_match_exactly_once_stops_the_build(box: Toolbox, old: str) -> None:
    box.add(edit(old, "x"))
    box.add(ENTRY.format(name="edited", package="edited", output=""))
    with pytest.raises(LabError, match=f"does not hold '{old}' exactly once"):
        tools.ensure("edited", quiet=True)
    assert not box.leftovers()
    assert not list(box.cache.glob("go-src/*")), "a copy with half its edits would be used by the next build"


@pytest.mark.parametrize(("change", "words"), [
    (lambda source: (source / "go.sum").write_text(""), "missing go.sum entry for module providing package"),
    (lambda source: shutil.rmtree(source), "tools/go/hello is not here: this needs a clone of the course"),
])  # fmt: skip
def test_a_build_that_cannot_be_made_is_one_clear_error(box: Toolbox, change, words: str) -> None:  # type: ignore[no-untyped-def]
    change(box.clone / "tools" / "go" / "hello")
    box.add(ENTRY.format(name="hello", package="cmd/hello", output=""))
    with pytest.raises(LabError) as error:
        tools.ensure("hello", quiet=True)
    assert words in error.value.why
    assert len(error.value.why.splitlines()) == 1
    assert not box.leftovers()


def test_a_module_whose_content_is_not_what_go_sum_says_is_refused(box: Toolbox, tmp_path: Path) -> None:
    box.add(ENTRY.format(name="hello", package="cmd/hello", output=""))
    subprocess.run(["go", "clean", "-modcache"], check=True)
    publish(tmp_path, MODULE, "v1.2.3", {"cmd/hello/main.go": HELLO + "// changed\n"})
    with pytest.raises(LabError, match="checksum mismatch"):
        tools.ensure("hello", quiet=True)


def test_a_program_of_another_version_is_not_accepted(box: Toolbox) -> None:
    box.add(ENTRY.format(name="hello", package="cmd/hello", output="").replace("1.2.3", "2.0.0"))
    with pytest.raises(LabError, match=r"the program says it is 1\.2\.3, not 2\.0\.0"):
        tools.ensure("hello", quiet=True)
    assert not box.leftovers()


def test_without_a_module_proxy_it_is_one_clear_error(box: Toolbox, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["go", "clean", "-modcache"], check=True)
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:9")  # discard: nothing listens there
    box.add(ENTRY.format(name="hello", package="cmd/hello", output=""))
    with pytest.raises(LabError, match="the Go module proxy cannot be reached"):
        tools.ensure("hello", quiet=True)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_build_that_is_stopped_leaves_no_tool_and_no_process(box: Toolbox, end: signal.Signals) -> None:
    box.add(ENTRY.format(name="large", package="cmd/large", output=""))
    box.add(ENTRY.format(name="hello", package="cmd/hello", output=""))
    process = box.start("tools", "install", "large")
    assert process.stderr
    while "compiling" not in (line := process.stderr.readline()):
        assert line, "it ended before it compiled anything"
    assert at_work(box)
    process.send_signal(end)
    out, err = process.communicate(timeout=180)
    until(lambda: not at_work(box), "every process of the build has ended")
    assert found.in_cache(tool("large")) is None
    if end == signal.SIGINT:
        assert process.returncode == 130, out + err
        assert err.splitlines()[-1].startswith("Stopped.")
        assert not box.leftovers()
    tools.ensure("hello", quiet=True)
    assert list(box.cache.glob("go-tmp/*")) == [], "the next build has not cleared up"


def test_a_second_build_compiles_only_what_is_new(box: Toolbox, monkeypatch: pytest.MonkeyPatch) -> None:
    box.add(ENTRY.format(name="hello", package="cmd/hello", output=""))
    box.add(ENTRY.format(name="edited", package="edited", output=""))
    tools.ensure("hello", quiet=True)
    far: list[str] = []
    monkeypatch.setattr(board.Board, "say", lambda self, name, text, words="", share=None: far.append(words))
    tools.ensure("edited", quiet=True)
    assert far[-1] == "1/1 packages", f"what both programs are made of was compiled again: {far}"


def test_a_warm_module_has_what_its_go_files_import_in_the_build_cache(box: Toolbox, tmp_path: Path) -> None:
    box.add(ENTRY.format(name="hello", package="cmd/hello", output="").replace(" }", ", warm = true }"))
    (tmp_path / "clone" / "tools" / "go" / "hello" / "imports.go").write_text(
        'package all\n\nimport _ "text/tabwriter"\n'
    )
    tools.ensure("hello", quiet=True)
    command = ["go", "build", "-n", "-v", "-trimpath", "text/tabwriter"]
    left = subprocess.run(command, env=gobuild.environment(), capture_output=True, text=True, check=True).stderr.split()
    assert "text/tabwriter" not in left, "what a learner's test imports has still to be compiled"


def test_a_full_disk_in_a_build_is_one_clear_error(box: Toolbox) -> None:
    if why := namespaces():
        pytest.skip(why)
    box.add(ENTRY.format(name="large", package="cmd/large", output=""))
    script = 'mount -t tmpfs -o size=2m tmpfs "$IACLAB_CACHE" && exec "$@"'
    process = box.start("tools", "install", "large", prefix=["unshare", "-rm", "sh", "-c", script, "sh"])
    out, err = process.communicate(timeout=180)
    assert process.returncode == 1, out + err
    assert "Error: The disk is full." in err
    assert "Traceback" not in err


def test_what_a_compiler_takes_of_memory_is_the_users_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOGC", "50")
    monkeypatch.delenv("GOMEMLIMIT", raising=False)
    env = gobuild.environment()
    assert env["GOGC"] == "50" and int(env["GOMEMLIMIT"]) >= 1 << 30
