"""`python run_program.py FOLDER OPERATION`: a program by the Automation API, in a process that can be killed.

Prints what Pulumi prints; for a preview the steps as `op name diffs`, after an up the outputs as a line of JSON.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

from pulumi import automation as auto


def main(folder: str, operation: str) -> int:
    stack = auto.create_or_select_stack(
        "dev",
        project_name=Path(folder).name,
        program=lambda: runpy.run_path(f"{folder}/__main__.py", run_name="__main__"),
        opts=auto.LocalWorkspaceOptions(work_dir=folder),
    )
    try:
        if operation.startswith("preview"):
            seen = []
            stack.preview(refresh="refresh" in operation, on_event=lambda e: seen.append(e.resource_pre_event))
            for step in (s.metadata for s in seen if s):
                if not step.type.startswith("pulumi:") and step.op.value not in ("same", "refresh"):
                    print(step.op.value, step.urn.split("::")[-1], *(step.diffs or []))
        else:
            result = getattr(stack, operation)(on_output=lambda line: print(line, flush=True))
            if operation == "up":
                print(json.dumps({name: output.value for name, output in result.outputs.items()}))
    except auto.CommandError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
