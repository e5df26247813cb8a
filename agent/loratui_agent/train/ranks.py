"""Several GPUs: a process each. The first one leads and speaks; the others are told what to do next, through a pipe.

They end when the pipe does, so with the first one, however it ends. It ends with any of them, in the way that one did:
from outside a training is one process.
"""

import contextlib
import datetime
import enum
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import torch
from accelerate.utils import check_cuda_p2p_ib_support
from torch import distributed

from loratui_agent.train.job import Job, fixed_seed
from loratui_agent.train.reporter import Reporter
from loratui_agent.train.share import exchanging
from loratui_protocol import messages
from loratui_protocol.config import TrainingConfig
from loratui_protocol.subsets import datasets_of

logger = logging.getLogger(__name__)

_STORE = ".processes"
_LEAVE_S = 30.0
_FLUSH_S = 10.0
_TIMEOUT = datetime.timedelta(days=1)
"""A death is noticed without it, and a hang by the agent."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Order(enum.Enum):
    """What all processes do together, as the byte that says so."""

    STEP = b"s"
    LOOK = b"l"
    END = b"e"


class Ranks:
    """This process among those of the training: here the only one."""

    index: int = 0
    count: int = 1

    def meet(self) -> None:
        """Get in touch with the others; accelerate finds them then."""
        # Some images set it for a launcher of their own: accelerate would wait for processes that never come.
        os.environ.pop("LOCAL_RANK", None)
        _mind_old_drivers()

    def tell(self, order: Order) -> None:
        """Have the others do what this one is about to do."""

    def leave(self) -> None:
        """Part from the others: what follows is done by one process."""


class Leader(Ranks):
    """The first process, which has started the others."""

    def __init__(self, folder: Path, count: int, reporter: Reporter) -> None:
        self.count = count
        self._store = folder / _STORE
        self._reporter = reporter
        self._ending = threading.Lock()
        self._has_left = False
        self._store.unlink(missing_ok=True)
        command = [sys.executable, *sys.orig_argv[1:], "--num-processes", str(count)]
        # What is blocked here stays blocked there: a signal for the group is for the first one to obey.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self._others = [
                subprocess.Popen([*command, "--rank", str(index)], stdin=subprocess.PIPE, bufsize=0)
                for index in range(1, count)
            ]
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for other in self._others:
            threading.Thread(target=self._watch, args=(other,), name="watch", daemon=True).start()

    def meet(self) -> None:
        """Get in touch with the others, which takes until they have imported all that this one has."""
        _meet(self._store, self.index, self.count)

    def tell(self, order: Order) -> None:
        """Have the others do what this one is about to do."""
        for other in self._others:
            assert other.stdin is not None
            # One that is gone is noticed by who watches it.
            with contextlib.suppress(BrokenPipeError):
                other.stdin.write(order.value)

    def leave(self) -> None:
        """Let the others go; their memory is free then."""
        self._has_left = True
        self.tell(Order.END)
        distributed.destroy_process_group()
        for other in self._others:
            with contextlib.suppress(subprocess.TimeoutExpired):
                other.wait(_LEAVE_S)
            assert other.stdin is not None
            other.stdin.close()
        self._store.unlink(missing_ok=True)

    def _watch(self, other: subprocess.Popen[bytes]) -> None:
        """End this process when another one does, before its time: it may be waiting for that one for ever."""
        code = other.wait()
        if self._has_left:
            return
        with self._ending:
            if code < 0:
                name = signal.Signals(-code).name
                what = f"one of {self.count} processes of the training was killed ({name}), so the others end too"
                self._reporter.emit(messages.Warn(code="process.lost", message=what))
            self._reporter.close(_FLUSH_S)
            if code < 0:
                # As if it had been this one: the agent resumes what is killed, and knows who runs out of memory.
                os.kill(os.getpid(), signal.SIGKILL)
            # It has said why in exit.json.
            os._exit(code or 1)


class Follower(Ranks):
    """Another process; it hears of its orders on its standard input."""

    def __init__(self, folder: Path, index: int, count: int) -> None:
        self.index = index
        self.count = count
        self._store = folder / _STORE
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def meet(self) -> None:
        """Get in touch with the others."""
        _meet(self._store, self.index, self.count)

    def orders(self) -> Iterator[Order]:
        """Yield what to do next, until there is nothing left."""
        while (order := self._orders.get()) is not Order.END:
            yield order

    def leave(self) -> None:
        """Part from the others in good order."""
        distributed.destroy_process_group()

    def _listen(self) -> None:
        while byte := os.read(sys.stdin.fileno(), 1):
            self._orders.put(Order(byte))
        # The first process is gone. This one may be waiting for it for ever.
        os._exit(0)


def lead(job: Job, reporter: Reporter) -> Ranks:
    """Start as many other processes as the job has work for, and return this one as the first of them."""
    num_gpus = torch.cuda.device_count() or int(torch.backends.mps.is_available())
    count = num_processes(job.config, num_gpus)
    asked = job.config.num_processes or 1
    if count < asked:
        what = f"num_processes = {asked}, but {count} can take part: {_why_fewer(job.config, num_gpus)}"
        reporter.emit(messages.Warn(code="processes.fewer", message=what))
    if num_gpus > count:
        logger.info("%d of %d GPUs are used; num_processes = %d would share each step", count, num_gpus, num_gpus)
    if count == 1:
        return Ranks()
    # Drawn before there are others to draw another one.
    fixed_seed(job)
    logger.info("%d processes share the pictures of each step, %d at most", count, _pictures_per_step(job.config))
    return Leader(job.folder, count, reporter)


def num_processes(config: TrainingConfig, num_gpus: int) -> int:
    """Return how many processes train: as many as asked for, but one a GPU, and none without a picture to do.

    Without a GPU it is as many as asked for. Fewer change nothing but the time it takes.
    """
    asked = config.num_processes or 1
    return min(asked, num_gpus or asked, _pictures_per_step(config))


def _pictures_per_step(config: TrainingConfig) -> int:
    return max(dataset.train_batch_size for dataset in datasets_of(config)) * config.gradient_accumulation_steps


def _why_fewer(config: TrainingConfig, num_gpus: int) -> str:
    pictures = _pictures_per_step(config)
    if num_gpus and num_gpus < pictures:
        return f"GPUs here: {num_gpus}. The result is the same, it takes longer"
    return f"a step shows {pictures} pictures. More of them: raise train_batch_size"


def _meet(store: Path, index: int, count: int) -> None:
    """Join the process group, over a file and this machine's own network only: no port is open to others."""
    os.environ |= dict.fromkeys(("RANK", "LOCAL_RANK"), str(index))
    os.environ |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(count))
    loopback = next((name for _, name in socket.if_nameindex() if name in ("lo", "lo0")), None)
    if loopback is not None:
        os.environ |= {"GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": loopback}
    # Otherwise accelerate sets torch's threads by itself.
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    _mind_old_drivers()
    with exchanging():
        distributed.init_process_group(
            backend="nccl" if torch.cuda.is_available() else "gloo",
            store=distributed.FileStore(str(store), count),  # type: ignore[attr-defined]  # it has no stub
            rank=index,
            world_size=count,
            timeout=_TIMEOUT,
        )


def _mind_old_drivers() -> None:
    """Have NCCL leave out what some GPUs can't do with older drivers; accelerate refuses such machines without it."""
    if torch.cuda.device_count() > 1 and not check_cuda_p2p_ib_support():
        os.environ |= {"NCCL_P2P_DISABLE": "1", "NCCL_IB_DISABLE": "1"}
