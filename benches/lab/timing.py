"""Two commands in turn, as often as it takes, because the machine may be busy with something else."""

import os
import statistics
import subprocess
import time

from .images import runs


class Side:
    """One of the two: what it is called, its shell command, and what is done before each run and
    not counted."""

    def __init__(self, name, command, before=None):
        self.name, self.command, self.before = name, command, before
        self.seconds, self.processor, self.peak = [], [], 0

    def run(self, remove):
        for path in remove:
            if os.path.exists(path):
                os.remove(path)
        if self.before:
            self.before()
        # What the last run left to be written is not this one's work.
        os.sync()
        start = time.monotonic()
        child = subprocess.Popen(["sh", "-c", self.command], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE)
        said = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        self.seconds.append(time.monotonic() - start)
        # Of the shell's children, too. What the kernel's own threads write later is in none of it.
        self.processor.append(usage.ru_utime + usage.ru_stime)
        if status:
            raise SystemExit(f"{self.command}: status {os.waitstatus_to_exitcode(status)}\n{said.decode()}")
        self.peak = max(self.peak, usage.ru_maxrss * 1024)

    def forget(self):
        """Lets go of the times so far."""
        self.seconds.clear()
        self.processor.clear()

    @property
    def least(self):
        return min(self.seconds)

    @property
    def median(self):
        return statistics.median(self.seconds)


def warm(*paths):
    """Brings files into the page cache."""
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            for start, end in runs(file.fileno()):
                for offset in range(start, end, 1 << 20):
                    os.pread(file.fileno(), min(end - offset, 1 << 20), offset)


def in_turn(sides, rounds, remove=()):
    """Runs all of them in turn, and changes who goes first."""
    for turn in range(rounds):
        for side in sides if turn % 2 == 0 else reversed(sides):
            side.run(remove)
