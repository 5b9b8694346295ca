"""What one submission may use. Sizes are bytes, times are seconds."""

from __future__ import annotations

from dataclasses import dataclass

MB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Args:
        cell: wall time of one cell; it is interrupted then, and killed if that does not help.
        notebook: wall time of all cells together; what is left then is skipped.
        cpu: processor time of all its processes together.
        memory: of all its processes together, shared pages counted once.
        process_memory: of one process (RLIMIT_DATA: it gets a MemoryError, nothing is killed).
        services: memory of the lab's services together, which a submission can fill.
        services_disk: of their data.
        processes: processes and threads together.
        file: one file.
        disk: work folder, home and /tmp together, with files that are deleted and still open.
        files: files and folders in them.
        kept: output that is kept of a cell.
        flood: output after which a cell is ended.
        restarts: kernels that are started anew after one died.
        look: wall time of one look of a check, after which the check has failed.
        notebook_size: of the file that was handed in, and of each file beside it.
        cells: in the notebook.
        attachments: in the notebook's Markdown cells, together, as base64.
    """

    cell: float = 300
    notebook: float = 1800
    cpu: int = 1800
    memory: int = 3 << 30
    process_memory: int = 2 << 30
    services: int = 6 << 30
    services_disk: int = 4 << 30
    processes: int = 512
    file: int = 512 * MB
    disk: int = 1 << 30
    files: int = 50_000
    kept: int = 200_000
    flood: int = 20 * MB
    restarts: int = 10
    look: float = 300
    notebook_size: int = 20 * MB
    cells: int = 2000
    attachments: int = 5 * MB

    def resource_limits(self) -> dict[str, int]:
        """What the kernel enforces for each process, by the name in the module `resource`."""
        return {
            "RLIMIT_CORE": 0,
            "RLIMIT_CPU": self.cpu,
            "RLIMIT_DATA": self.process_memory,
            "RLIMIT_FSIZE": self.file,
            "RLIMIT_MEMLOCK": 64 << 10,
            "RLIMIT_MSGQUEUE": 64 << 10,
            "RLIMIT_NOFILE": 1024,
            "RLIMIT_NPROC": self.processes,
            "RLIMIT_SIGPENDING": 1024,
            "RLIMIT_STACK": 8 * MB,
        }
