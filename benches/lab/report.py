"""Tables of what was measured."""

import os
import platform
import statistics
import subprocess

from .timing import Side


def first_line(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def machine(folder):
    """What ran where."""
    with open("/proc/cpuinfo") as info:
        models = (line.split(":")[1].strip() for line in info if line.startswith("model name"))
        model = next(models, "?")
    with open("/proc/meminfo") as info:
        memory = int(info.readline().split()[1]) >> 20
    kind = first_line("findmnt", "--noheadings", "--output", "FSTYPE", "--target", folder)
    return [
        f"{os.cpu_count()} cores ({model}), {memory} GiB of memory, Linux {platform.release()}, "
        f"the data on {kind}",
        first_line("qemu-img", "--version"),
        first_line("sha256sum", "--version"),
        "ploop " + first_line("dpkg-query", "-W", "-f", "${Version}", "ploop"),
        first_line("mkfs.xfs", "-V"),
        first_line("mkfs.btrfs", "--version"),
    ]


class Row:
    """One line of a table: a job of ours, its peer, and how much of the peer's time it may take."""

    def __init__(self, section, job, ours: Side, theirs: Side, limit=None, note=""):
        self.section, self.job, self.ours, self.theirs = section, job, ours, theirs
        self.limit, self.note = limit, note

    @property
    def ratios(self):
        return self.ours.least / self.theirs.least, self.ours.median / self.theirs.median

    @property
    def verdict(self):
        if self.limit is None:
            return ""
        return "yes" if self.ratios[1] <= self.limit else "no"


def fenced(lines):
    """Lines of output, for a page."""
    return ["```text", *lines, "```"]


def columns(head, rows):
    """A table with its columns in line, the first one to the left."""
    rows = [[cell.replace("`", "") for cell in row] for row in [head, *rows]]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    lines = []
    for row in rows:
        others = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))
        lines.append("  ".join([row[0].ljust(widths[0]), *others]).rstrip())
    return fenced(lines)


def table(rows):
    """The lines of a section. Times are in seconds, least and median."""
    head = ["job", "at most", "least", "median", "reached", "ploopconv", "peer"]
    cells = []
    for row in rows:
        least, median = row.ratios
        limit = f"{row.limit:.2f}" if row.limit is not None else ""
        times = (f"{side.least:.3f} / {side.median:.3f}" for side in (row.ours, row.theirs))
        cells.append([row.job, limit, f"{least:.3f}", f"{median:.3f}", row.verdict, *times])
    return columns(head, cells)


def costs(rows, tables):
    """What every job takes beside time: memory at its peak, how much its tables take on the disk,
    and processor time. Of what takes least memory, it is that of the Python that measures."""
    head = ["job", "peak, MiB", "tables, MiB", "processor, s", "peer, s"]
    cells = []
    for row in rows:
        of_tables = tables.get(row.job, 0) >> 20
        ours, theirs = (statistics.median(side.processor) for side in (row.ours, row.theirs))
        job = f"{row.section}: {row.job}"
        cells.append([job, str(row.ours.peak >> 20), str(of_tables), f"{ours:.3f}", f"{theirs:.3f}"])
    return columns(head, cells)


def commands(rows, folder):
    """The command lines, each once."""
    seen, lines = set(), []
    for row in rows:
        for side in row.ours, row.theirs:
            command = side.command.replace(folder + "/", "")
            if command not in seen:
                seen.add(command)
                lines.append(command)
    return lines
