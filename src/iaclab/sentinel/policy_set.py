"""A policy set: the policies that a sentinel.hcl names, asked about one plan.

`python -m iaclab.sentinel.policy_set FOLDER` reads `{"plan": …, "run": …}` from standard input and writes what `check`
returns: a server runs it as a process of its own, which it can end.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

from iaclab.sentinel import config as configuration
from iaclab.sentinel import policy, terraform
from iaclab.sentinel.errors import SentinelError

FILE = "sentinel.hcl"
_MEMORY = 2 * 1024**3  # bytes


def check(folder: Path, plan: dict[str, Any], run: dict[str, Any]) -> list[dict[str, Any]]:
    """Evaluate every policy of the set in `folder`; a document for each, with its level and its trace as text.

    Raises:
        SentinelError: the sentinel.hcl cannot be read, or names no policy.
    """
    config = configuration.load(folder / FILE)
    if not config.policies:
        raise SentinelError(f"{FILE} names no policy", hint='policy "name" { source = "./name.sentinel" }')
    found = []
    for entry in config.policies:
        given = terraform.imports(plan, run)  # its own copy, for a policy can change what it is given
        outcome = policy.run(entry.path, policy.with_params(config, entry.params), given)
        about = {"policy": entry.name, "level": entry.level, "text": outcome.trace(), "printed": outcome.printed}
        found.append(policy.document(outcome) | about)
    return found


def main() -> None:
    """Answer one request, within the memory that a policy may take."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    request = json.load(sys.stdin)
    try:
        answer: dict[str, Any] = {"policies": check(Path(sys.argv[1]), request["plan"], request["run"])}
    except SentinelError as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
