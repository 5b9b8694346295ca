"""`python -m iaclab.quiz`: print the bank that `IACLAB_QUIZ` names without its key, for learners."""

from __future__ import annotations

import sys

from iaclab.errors import LabError
from iaclab.quiz import bank, draw

if __name__ == "__main__":
    try:
        found = bank.load()
        if found.keyless:
            raise LabError("This bank has no key: which draws are even cannot be told.", mend="echo $IACLAB_QUIZ")
        sys.stdout.write(bank.without_key(found.questions, draw.turns(found)))
    except LabError as error:
        sys.exit(str(error))
