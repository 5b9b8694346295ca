"""The lessons' bash cells are written for GNU's sed, timeout, base64 …: macOS has others, and Homebrew has these."""

from __future__ import annotations

import sys
from pathlib import Path

_HOMEBREW = (Path("/opt/homebrew"), Path("/usr/local"))  # on Apple's processors, and on Intel's
_PACKAGES = ("coreutils", "gnu-sed")
_SHELL = "bash"  # Apple's is version 3.2, of 2007


def folders() -> list[str]:
    """What comes before the system's programs on a learner's PATH: on macOS, GNU's under their own names."""
    if sys.platform != "darwin":
        return []
    places = [base / "opt" / package / "libexec" / "gnubin" for package in _PACKAGES for base in _HOMEBREW]
    places += [base / "opt" / _SHELL / "bin" for base in _HOMEBREW]
    return [str(place) for place in places if place.is_dir()]


def missing() -> list[str]:
    """The packages of Homebrew that are not here and should be."""
    if sys.platform != "darwin":
        return []
    return [name for name in (*_PACKAGES, _SHELL) if not any((base / "opt" / name).is_dir() for base in _HOMEBREW)]
