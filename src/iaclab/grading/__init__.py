"""The trusted grader: a submission runs in a sandbox, its marks are the state of the systems that it leaves behind.

One `World` serves one worker: a network namespace in which the lab's services run, warm from one submission to the
next. A submission's notebook runs there in a sandbox of its own; when every process of it is dead, the trusted checks
look at the services and at the work folder, from outside the sandbox.

    from iaclab.grading import Limits, World, grade

    with World.open("lab2-gitops-argocd", tell=print) as world:      # a lab's id; services start here, once
        for notebook in notebooks:
            result = grade(notebook, "lab2-gitops-argocd", world=world, limits=Limits(), hidden=hidden)
            result.marks(table)        # {grade_id: Mark(points, of, comment)}, table: iaclab.build.lab.graded(source)

`grade(notebook_path, lab_id, *, world, limits=Limits(), hidden=None, files=None) -> Graded`
    `hidden` is the instructor's file of hidden checks (`grading/hidden/<lab>.py`) or None; `files` is a folder whose
    regular files are put into the work folder first (what was handed in beside the notebook). Resets the world before
    it begins, writes nothing but what it returns, and never raises for what a submission does: what is wrong with a
    submission is in `Graded.report`. A notebook that cannot be read at all raises `BadSubmission`.

`Graded`    `notebook` (nbformat, the submission's cells with outputs, capped, without scripts), `verdicts`
            (by check name, hidden ones as `hidden:<name>`), `answers` (by grade_id), `report`, `seconds`;
            `marks(table)` gives the score of each graded cell of the instructor's source.
`Verdict`   `check`, `title`, `passed`, `seen`, `points` (earned), `of`; `seen` of a hidden check is for instructors.
`Mark`      `points`, `of`, `comment` (for the learner: it never shows hidden checks).
`Report`    `cells`: what went wrong by cell (`index`, `what`: error, timeout, flood, killed, skipped; `why`);
            `notes`: lines for the instructor; `restarts` of the kernel.
`World`     a context manager: `World.open(lab_id, *, unsafe=False, tell=None)`, `.reset()`, `.close()`; not for
            several threads at once. `unsafe=True` runs without any sandbox, where none can be had.
errors      `LabError` (no sandbox here, a service that does not start), `BadSubmission` (a LabError, one for each
            reason: too large, not JSON, not a notebook, too deep, too many cells, attachments, not a regular file).

Below, from the outside in: `submission` (grade), `world`, `network` (namespaces), `mounts` (what a sandbox sees),
`services` (the lab's, in it), `learners` (what of them a submission gets), `desk` (its folders), `sandbox` (its
processes), `limits`, `watch` and `cgroup` (what they may use), `warm`, `zygote` and `enter` (kernels that start warm),
`kernel` and `runner` (the notebook), `intake` (hostile files), `answers` (literals), `bench`, `judge` and `verdict`
(the checks), `confined` (a learner's code that a check runs).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iaclab import lazy

if TYPE_CHECKING:
    from iaclab.grading.intake import BadSubmission as BadSubmission
    from iaclab.grading.limits import Limits as Limits
    from iaclab.grading.runner import Report as Report
    from iaclab.grading.submission import Graded as Graded
    from iaclab.grading.submission import Mark as Mark
    from iaclab.grading.submission import grade as grade
    from iaclab.grading.verdict import Verdict as Verdict
    from iaclab.grading.world import World as World

_HOMES = {
    "BadSubmission": "iaclab.grading.intake",
    "Graded": "iaclab.grading.submission",
    "Limits": "iaclab.grading.limits",
    "Mark": "iaclab.grading.submission",
    "Report": "iaclab.grading.runner",
    "Verdict": "iaclab.grading.verdict",
    "World": "iaclab.grading.world",
    "grade": "iaclab.grading.submission",
}

__getattr__ = lazy.names(__name__, _HOMES)
