"""What a learner has of a profile: its environment, and the files that the environment names.

A submission's sandbox gets copies of these and of nothing else: not the authority's key, not etcd's data, not the
passwords of other users.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from iaclab.errors import LabError
from iaclab.platform.profile import Profile

_LARGEST, _ALL, _MOST = 4 << 20, 32 << 20, 2000  # bytes of a file, of all together; how many files


def belongings() -> dict[str, Any]:
    """`env`, `files` as {path: [mode, text]} and `links` as {path: target}; paths from the state folder on."""
    profile = Profile()
    env = {key: value for key, value in profile.env().items() if key != "PATH"}
    files: dict[str, list[Any]] = {}
    links: dict[str, str] = {}
    todo = [path for value in env.values() for path in _named(profile, value)]
    while todo:
        path = todo.pop()
        name = str(path.relative_to(profile.state))
        if name in files or name in links:
            continue
        if path.is_symlink():
            links[name] = str(path.readlink())
        elif path.is_dir():
            todo += path.iterdir()
        elif path.is_file() and path.stat().st_size <= _LARGEST:
            text = path.read_text(errors="surrogateescape")
            files[name] = [path.stat().st_mode & 0o777, text]
            todo += _named(profile, text)
    return {"env": env, "files": files, "links": links}


def _named(profile: Profile, text: str) -> list[Path]:
    """The paths of the profile that a text names: a kubeconfig its certificates, a CLI's settings their files.

    A name that goes on with a shell's variable (`secrets/git-"$user"`) stands for all that begin like it.
    """
    pattern = "(" + re.escape(str(profile.root)) + r"(?:/[A-Za-z0-9._+-]+)+)([\"']?\$)?"
    found: list[Path] = []
    for name, goes_on in re.findall(pattern, text):
        path = Path(name)
        found += path.parent.glob(f"{path.name}*") if goes_on else [path]
    return [path for path in found if ".." not in path.parts and (path.is_symlink() or path.exists())]


def believed(answer: Any) -> dict[str, Any]:
    """What comes from inside a sandbox, where it is what `belongings` can return; whoever writes it writes outside.

    Raises:
        LabError: it is something else.
    """
    try:
        env, files, links = answer["env"], answer["files"], answer["links"]
        texts = [*env.items(), *links.items(), *((name, text) for name, (_, text) in files.items())]
        right = all(isinstance(text, str) and "\0" not in name + text for name, text in texts)
        right = right and all(isinstance(mode, int) and 0 <= mode <= 0o777 for mode, _ in files.values())
        names = [*files, *links]
        right = right and len(texts) <= _MOST and sum(len(text) for _, text in texts) <= _ALL and _are_plain(names)
    except (TypeError, KeyError, ValueError, AttributeError):
        right = False
    if not right:
        raise LabError("The services of this world say what they cannot say.")
    return {"env": env, "files": files, "links": links}


def _are_plain(names: Iterable[str]) -> bool:
    """Whether these are relative paths that lead nowhere else, none of them a folder of another."""
    paths = [Path(name) for name in names]
    plain = all(path.parts and not path.is_absolute() and ".." not in path.parts for path in paths)
    return plain and not {parent for path in paths for parent in path.parents} & set(paths)
