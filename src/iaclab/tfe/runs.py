"""Remote runs: the real terraform, one run at a time for each workspace."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from typing import BinaryIO

from iaclab.tfe import policy
from iaclab.tfe.store import FINAL, Run, Store, Workspace
from iaclab.tfe.workplace import Workplace

STX, ETX = b"\x02", b"\x03"  # first and last byte of a complete log: the CLI reads until the last
CONFIRMABLE = {"planned", "policy_checked", "planned_and_saved"}
DISCARDABLE = CONFIRMABLE | {"policy_override", "pending", "confirmed"}
WORKING = {"planning", "policy_checking", "apply_queued", "applying"}


class Conflict(Exception):
    """The run or the workspace is not in a state for that."""


class Runner:
    """Queues and executes runs. Every change of a record happens under `lock`, which the API holds as well.

    Args:
        terraform: the binary.

    Raises:
        subprocess.CalledProcessError: it does not say its version.
    """

    def __init__(self, store: Store, organization: str, terraform: str) -> None:
        self.store, self.organization, self.terraform = store, organization, terraform
        self.lock = threading.RLock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._canceled: set[str] = set()
        self._shown: dict[str, threading.Event] = {}
        said = subprocess.run([terraform, "version"], capture_output=True, text=True, check=True).stdout
        self._header = "\n".join([*said.splitlines()[:2], "Initializing plugins and modules...", ""]).encode()
        self.version = said.split("\n", 1)[0].split(" v")[1]

    # --- the queue ---------------------------------------------------------------------------------

    def current(self, workspace: Workspace) -> Run | None:
        """The run at the head of the workspace's queue, otherwise the last one."""
        mine = [run for run in self.store.all(Run, workspace.id) if run.queued]
        waiting = [run for run in mine if run.status not in FINAL]
        return waiting[0] if waiting else mine[-1] if mine else None

    def submit(self, run: Run) -> None:
        """Start a new run, or let it wait for its turn."""
        if run.queued:
            self.advance(self.store.workspace(run))
        else:
            self._start(run, "plan")

    def advance(self, workspace: Workspace) -> None:
        """Give the workspace's lock to the head of its queue, if both are free."""
        run = self.current(workspace)
        if run and not workspace.locked_by and run.status in ("pending", "confirmed"):
            workspace.locked_by = run.id
            self.store.save(workspace)
            self._start(run, "plan" if run.status == "pending" else "apply")

    def confirm(self, run: Run) -> None:
        """Apply a planned run; a saved plan waits for its turn."""
        if run.status not in CONFIRMABLE:
            raise Conflict("transition not allowed")
        if run.queued:
            self._start(run, "apply")
            return
        run.queued, run.status = True, "confirmed"
        self.store.save(run)
        self.advance(self.store.workspace(run))

    def override(self, run: Run) -> None:
        """Go on in spite of a soft-mandatory policy that failed."""
        if run.status != "policy_override":
            raise Conflict("transition not allowed")
        run.policy_status = "overridden"
        self._checked(run)

    def discard(self, run: Run) -> None:
        """Give a plan up."""
        if run.status not in DISCARDABLE:
            raise Conflict("transition not allowed")
        self._end(run, "discarded")

    def cancel(self, run: Run, force: bool = False) -> None:
        """Interrupt a run: terraform ends what it has begun and keeps the state; `force` kills it."""
        if run.status == "pending":
            self._end(run, "canceled")
        elif run.status in WORKING:
            self._canceled.add(run.id)
            if process := self._processes.get(run.id):
                process.send_signal(signal.SIGKILL if force else signal.SIGINT)
        else:
            raise Conflict("transition not allowed")

    def recover(self) -> None:
        """After a start: end what a stopped server left half done, keep its state, and go on with the queues."""
        with self.lock:
            for run in (run for run in self.store.all(Run) if run.status in WORKING):
                threading.Thread(target=self._recover, args=(run,), daemon=True).start()
            for workspace in self.store.all(Workspace):
                self.advance(workspace)

    def _recover(self, run: Run) -> None:
        workplace = Workplace(self.store, run)
        workplace.stop_leftover()
        with self.lock:
            workplace.keep_state()
            for stage in (stage for stage, status in run.stages.items() if status == "running"):
                with workplace.log(stage).open("ab") as log:
                    log.write(b"\nError: The server was stopped during this run.\n" + ETX)
            self._end(run, "errored")

    # --- stages ------------------------------------------------------------------------------------

    def _start(self, run: Run, stage: str) -> None:
        run.status, run.stages[stage] = ("planning" if stage == "plan" else "apply_queued"), "running"
        self.store.save(run)
        threading.Thread(target=self._stage, args=(run, stage), name=f"{run.id} {stage}", daemon=True).start()

    def _stage(self, run: Run, stage: str) -> None:
        with Workplace(self.store, run).log(stage).open("ab", buffering=0) as log:
            log.write(STX + self._header)
            try:
                code = self._plan(run, log) if stage == "plan" else self._apply(run, log)
            except Exception as error:  # whatever happens, the run ends and the CLI hears of it
                log.write(f"\nError: {error}\n".encode())
                code = 1
            with self.lock:  # the CLI asks how the run is as soon as it has seen the last byte
                log.write(ETX)
                if run.id in self._canceled or code == 1:
                    self._end(run, "canceled" if run.id in self._canceled else "errored")
                elif stage == "apply":
                    self._end(run, "applied")
                else:
                    self._planned(run, has_changes=code == 2)
        if run.policy_status == "queued":
            self._check_policies(run)

    def _plan(self, run: Run, log: BinaryIO) -> int:
        """Unpack, initialize, plan; returns plan's detailed exit code: 0 no changes, 1 error, 2 changes."""
        workplace = Workplace(self.store, run)
        workplace.unpack()
        workplace.lay_state()
        init = workplace.log("init")
        with init.open("wb") as said:
            code = self._terraform(run, said, "init", "-input=false")
        if code:
            log.write(init.read_bytes())
            return 1
        options = ("-input=false", "-detailed-exitcode", "-out=../plan.tfplan", *workplace.plan_options())
        code = self._terraform(run, log, "plan", *options)
        if code == 2:
            with (workplace.folder / "plan.json").open("wb") as plan:
                if self._terraform(run, plan, "show", "-json", "../plan.tfplan"):
                    return 1  # without it no policy can be asked
        return code

    def _apply(self, run: Run, log: BinaryIO) -> int:
        workplace = Workplace(self.store, run)
        workplace.lay_state()
        if run.auto_apply:  # the CLI shows no apply that has failed before it asks how the plan went
            self.shown(run).wait(3)
            time.sleep(0.3)
        with self.lock:
            run.status = "applying"
            self.store.save(run)
        try:
            return self._terraform(run, log, "apply", "-input=false", "../plan.tfplan")
        finally:
            with self.lock:
                workplace.keep_state()

    def _terraform(self, run: Run, output: BinaryIO, command: str, *options: str) -> int:
        """Run one terraform command in the run's folder, its words going to `output`; returns its exit code."""
        workplace = Workplace(self.store, run)
        with self.lock:
            if run.id in self._canceled:
                return 1
            process = self._processes[run.id] = subprocess.Popen(
                [self.terraform, command, "-no-color", *options],
                cwd=workplace.config,
                env=workplace.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            run.pid = process.pid
            self.store.save(run)
        try:
            return process.wait()
        finally:
            with self.lock:
                del self._processes[run.id]

    # --- decisions ---------------------------------------------------------------------------------

    def shown(self, run: Run) -> threading.Event:
        """Set once the log of a run's plan has been read to its end."""
        return self._shown.setdefault(run.id, threading.Event())

    def json_plan(self, run: Run) -> bytes | None:
        """The plan as `terraform show -json` gives it, where there is one."""
        path = Workplace(self.store, run).folder / "plan.json"
        return path.read_bytes() if path.exists() else None

    def _planned(self, run: Run, has_changes: bool) -> None:
        run.has_changes, run.stages["plan"] = has_changes, "finished"
        if not has_changes:
            self._end(run, "planned_and_finished")
            return
        changes = json.loads(self.json_plan(run) or b"").get("resource_changes", [])
        actions = [action for change in changes for action in change["change"]["actions"]]
        run.counts = {name: actions.count(name) for name in ("create", "update", "delete")}
        if policy.policies(self.store.root / "policies"):
            run.status, run.policy_status = "policy_checking", "queued"
            self.store.save(run)
        else:
            self._checked(run)

    def _check_policies(self, run: Run) -> None:
        about = {
            "id": run.id,
            "is_destroy": run.is_destroy,
            "message": run.message,
            "organization": {"name": self.organization},
            "workspace": {"name": self.store.workspace(run).name},
        }
        try:
            plan = json.loads(self.json_plan(run) or b"")
            outcome = policy.check(self.store.root / "policies", {"plan": plan, "run": about})
        except Exception as error:  # whatever happens, the run ends and the CLI hears of it
            outcome = policy.Outcome("errored", {"result": False}, f"The policies cannot be asked: {error}\n")
        with self.lock:
            run.policy_status, run.policy_result, run.policy_log = outcome.status, outcome.result, outcome.log
            if run.id in self._canceled:
                self._end(run, "canceled")
            elif outcome.status == "passed":
                self._checked(run)
            elif outcome.status == "soft_failed" and not run.plan_only:
                run.status = "policy_override"
                self.store.save(run)
            else:
                self._end(run, "policy_soft_failed" if outcome.status == "soft_failed" else "errored")

    def _checked(self, run: Run) -> None:
        """The plan stands, and no policy is against it: what now?"""
        if run.plan_only:
            self._end(run, "planned_and_finished")
        elif run.auto_apply and not run.save_plan:
            self._start(run, "apply")
        else:
            run.status = "planned_and_saved" if run.save_plan else "policy_checked" if run.policy_status else "planned"
            self.store.save(run)

    def _end(self, run: Run, status: str) -> None:
        run.status = status
        self._canceled.discard(run.id)
        for stage, was in run.stages.items():
            if was == "running":
                run.stages[stage] = status if status in ("errored", "canceled") else "finished"
            elif was == "pending":
                run.stages[stage] = "unreachable"
        self.store.save(run)
        workspace = self.store.workspace(run)
        if workspace.locked_by == run.id:
            workspace.locked_by = ""
            self.store.save(workspace)
        self.advance(workspace)
