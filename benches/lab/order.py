"""In which order a program's reads reach a disk, as the kernel's block events tell: what a disk
with a head would feel."""

import os
import re
import subprocess

from .images import tool

ISSUED = re.compile(r"block_rq_issue: \S+ (\S+) \d+ \(.*?\) (\d+) \+ (\d+) ")
SECTOR = 512


class Events:
    """The reads that a block device gets while the block lasts."""

    def __init__(self, folder, device):
        self.tracefs = os.path.join(folder, "tracefs")
        self.instance = os.path.join(self.tracefs, "instances", f"ploopconv-{os.getpid()}")
        number = os.stat(device).st_rdev
        self.filter = f"dev == {os.major(number) << 20 | os.minor(number)}"
        self.reads = []

    def write(self, name, text):
        with open(os.path.join(self.instance, name), "w") as file:
            file.write(text)

    def __enter__(self):
        os.makedirs(self.tracefs, exist_ok=True)
        tool("mount", "-t", "tracefs", "tracefs", self.tracefs)
        # An instance of its own does not disturb other tracers.
        os.mkdir(self.instance)
        self.write("buffer_size_kb", "16384")
        self.write("events/block/block_rq_issue/filter", self.filter)
        self.write("events/block/block_rq_issue/enable", "1")
        return self

    def __exit__(self, *_):
        self.write("events/block/block_rq_issue/enable", "0")
        with open(os.path.join(self.instance, "trace")) as trace:
            for line in trace:
                found = ISSUED.search(line)
                if found and found[1].startswith("R"):
                    self.reads.append((int(found[2]) * SECTOR, int(found[3]) * SECTOR))
        os.rmdir(self.instance)
        tool("umount", self.tracefs)
        os.rmdir(self.tracefs)


def reads(command, folder, device):
    """Runs `command` with an empty page cache; gives how many reads `device` got, how many of them
    begin more than 1 MiB away from where the one before ended, and how far that is in all."""
    with open("/proc/sys/vm/drop_caches", "w") as caches:
        os.sync()
        caches.write("3")
    with Events(folder, device) as events:
        subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    jumps = passed = 0
    end = events.reads[0][0] if events.reads else 0
    for start, length in events.reads:
        if abs(start - end) > 1 << 20:
            jumps += 1
            passed += abs(start - end)
        end = start + length
    return len(events.reads), jumps, passed


def table(cold):
    """One line a program."""
    lines = ["| program | reads | jumps of more than 1 MiB | passed over |", "|---|---:|---:|---:|"]
    for name, (count, jumps, passed) in cold:
        lines.append(f"| `{name}` | {count} | {jumps} | {passed / (1 << 30):.1f} GiB |")
    return lines
