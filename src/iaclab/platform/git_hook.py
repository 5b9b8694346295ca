"""The server's post-receive hook: tells every registered webhook of a push, in GitHub's form, signed.

Git calls it with lines `OLD NEW REF` on standard input. The webhooks are in ROOT/webhooks.json:
{name: {"url": …, "secret": …, "ca": path or null}}. A webhook that fails is reported to the one who pushes and
never fails the push.
"""

from __future__ import annotations

import hmac
import json
import os
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

_NONE = "0" * 40


def _changed(old: str, new: str) -> list[str]:
    if _NONE in (old, new):
        return []
    done = subprocess.run(["git", "diff", "--name-only", old, new], capture_output=True, text=True)
    return done.stdout.split("\n")[:-1]


def main(root: Path) -> None:
    """Read the pushed refs from standard input and call each webhook."""
    try:
        hooks = json.loads((root / "webhooks.json").read_text())
    except FileNotFoundError:
        return
    repository = Path.cwd().name
    for line in sys.stdin:
        old, new, ref = line.split()
        payload = {
            "ref": ref,
            "before": old,
            "after": new,
            "repository": {
                "html_url": f"{os.environ['IACLAB_GIT_URL']}/{repository}",
                "default_branch": "main",
            },
            "commits": [{"added": [], "removed": [], "modified": _changed(old, new)}],
        }
        body = json.dumps(payload).encode()
        for name, hook in hooks.items():
            signatures = {
                f"X-Hub-Signature{suffix}": f"{digest}=" + hmac.new(hook["secret"].encode(), body, digest).hexdigest()
                for digest, suffix in (("sha1", ""), ("sha256", "-256"))
            }
            request = urllib.request.Request(
                hook["url"],
                body,
                {"Content-Type": "application/json", "X-GitHub-Event": "push", **signatures},
            )
            context = ssl.create_default_context(cafile=hook["ca"]) if hook.get("ca") else None
            try:
                urllib.request.urlopen(request, timeout=5, context=context).close()
            except OSError as error:
                print(f"webhook {name} was not reached: {error}", file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
