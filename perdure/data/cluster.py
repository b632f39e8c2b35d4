"""The same work as tasks of Ray, on this machine or on many. On many, the data set's folder is one that all share."""

from collections import deque
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from perdure.data.clip import Job
from perdure.data.processes import THREADS, Broken
from perdure.data.work import Record, work
from perdure.data.workers import died


def run(jobs: Sequence[Job], folder: Path, count: int) -> Iterator[Record]:
    """As `workers.run` does; `count` tasks at a time. A cluster is used where RAY_ADDRESS names one."""
    ray: Any = import_module("ray")  # only the extra `cluster` has it
    ours = not ray.is_initialized()
    if ours:
        try:
            ray.init(log_to_driver=False, include_dashboard=False, runtime_env={"env_vars": THREADS})
        except Exception as error:  # it raises `Exception` itself where a node does not come up in time
            says = str(error).strip().partition("\n")[0]
            raise Broken(f"Ray could not be started ({type(error).__name__}: {says})") from error
    try:
        task = ray.remote(num_cpus=1, max_retries=0)(work)
        waiting, doing = deque(jobs), dict[Any, Job]()
        while waiting or doing:
            while waiting and len(doing) < count:
                job = waiting.popleft()
                doing[task.remote(job, folder.absolute())] = job
            for done in ray.wait([*doing], num_returns=1)[0]:
                job = doing.pop(done)
                try:
                    yield ray.get(done)
                except ray.exceptions.RayError as error:  # its worker, node or object is gone, whatever ended it
                    if isinstance(cause := getattr(error, "cause", None), Broken):
                        raise Broken(str(cause)) from None
                    says = str(error).strip().partition("\n")[0]
                    yield died(job, folder, f"the process that made it died ({type(error).__name__}: {says})")
    finally:
        if ours:
            ray.shutdown()
