"""`python -m iaclab.checks.lab3`: put the flawed platform and the variants into this folder."""

from pathlib import Path

from iaclab.checks.lab3 import give

for path in [*give.platform(Path.cwd()), *give.variants(Path.cwd())]:
    print(path)
