"""JSON that is nested without end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ATTACK = {"tries": "the notebook's JSON is nested 100,000 deep", "aside": "nested too deeply"}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> str:
    del folder, notebook, values
    return '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": ' + "[" * 100_000 + "]" * 100_000 + "}"
