"""`python -m iaclab.build [--check | --instructor]`: write every notebook, or fail when one is not fresh."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from iaclab import paths
from iaclab.build import links
from iaclab.build.notebook import build_all, instructor_versions
from iaclab.errors import LabError


def main(argv: list[str] | None = None) -> int:
    """Build or check; returns the exit code: 1 where the text has faults or, with --check, is not what is built."""
    parser = argparse.ArgumentParser(prog="python -m iaclab.build", description="Build every notebook from content/.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where a notebook is not fresh or a link is wrong"
    )
    parser.add_argument("--instructor", action="store_true", help="write the labs with their solutions instead")
    arguments = parser.parse_args(argv)
    check = arguments.check
    try:
        if arguments.instructor:
            print("instructor versions:", *instructor_versions(), sep="\n  ")
            return 0
        stale = build_all(write=not check)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    if check and stale:
        print("These notebooks are older than their text; run `make notebooks`:", *stale, sep="\n  ", file=sys.stderr)
        return 1
    if check and (wrong := _links()):
        print("These links are not as they should be:", *wrong, sep="\n  ", file=sys.stderr)
        return 1
    written = f"{len(stale)} notebook{'s' * (len(stale) > 1)} written"
    print(written if stale else "every notebook is fresh")
    return 0


def _links() -> list[str]:
    """The faults in the form of all links; anchors are those of the built notebooks, which are fresh."""
    root = paths.repo_root() or Path.cwd()
    return [fault for document in links.documents(root) for fault in links.faults(document, root)]


if __name__ == "__main__":
    sys.exit(main())
