"""File systems to measure on: a folder here, and others in files of that folder."""

import os
import time

from .images import tool


class Mounted:
    """A file system of `kind` in a sparse file, mounted for as long as the block lasts."""

    def __init__(self, folder, kind, gigabytes):
        self.kind = kind
        self.backing = os.path.join(folder, kind + ".img")
        self.path = os.path.join(folder, kind)
        self.bytes = int(gigabytes * (1 << 30))

    def __enter__(self):
        with open(self.backing, "wb") as file:
            file.truncate(self.bytes)
        force = "-F" if self.kind == "ext4" else "-f"
        tool("mkfs." + self.kind, "-q", force, self.backing)
        os.makedirs(self.path, exist_ok=True)
        tool("mount", "-o", "loop", self.backing, self.path)
        return self

    def __exit__(self, *_):
        for attempt in range(10):
            try:
                tool("umount", self.path)
                break
            except SystemExit:
                if attempt == 9:
                    raise
                time.sleep(1)
        os.remove(self.backing)

    def device(self):
        """The block device that is mounted."""
        return tool("findmnt", "-n", "-o", "SOURCE", self.path).strip()

    def file(self, name):
        return os.path.join(self.path, name)
