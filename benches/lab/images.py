"""Images to measure with, made without ploopconv."""

import array
import multiprocessing
import os
import random
import shutil
import struct
import subprocess

CLUSTER = 1 << 20
SECTOR = 512


def tool(*command, **options):
    """Runs a command that only prepares something, and fails with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stderr}")
    return done.stdout


def header(entries, data_start, sectors=None):
    """A version 2 header for `entries` clusters of 1 MiB, data from `data_start` on."""
    return struct.pack(
        "<16sIIIIIQII12x", b"WithouFreSpacExt", 2, 16, 1024, CLUSTER // SECTOR, entries,
        sectors or entries * CLUSTER // SECTOR, 0, data_start // SECTOR)


def data_start(entries):
    return -(-(64 + 4 * entries) // CLUSTER) * CLUSTER


def transfer(source, target, length, source_offset, target_offset):
    """Copies bytes between files. Through memory, so that nothing is shared that is not meant to be."""
    os.pwrite(target, os.pread(source, length, source_offset), target_offset)


def apart(function, *arguments):
    """Calls something in a process of its own: a program's peak memory counts from that of the
    process that started it, so this one has to stay small."""
    child = multiprocessing.Process(target=function, args=arguments)
    child.start()
    child.join()
    if child.exitcode:
        raise SystemExit(f"{function.__name__}: status {child.exitcode}")


def write_image(path, entries, clusters):
    """See fill_image; apart from this process."""
    apart(fill_image, path, entries, clusters)


def fill_image(path, entries, clusters):
    """An image whose clusters lie in the file in the order in which they are given: pairs of an
    index and (file descriptor, offset)."""
    start = data_start(entries)
    table = array.array("I", bytes(4 * entries))
    with open(path, "wb") as image:
        place = start // CLUSTER
        for index, (source, offset) in clusters:
            transfer(source, image.fileno(), CLUSTER, offset, place * CLUSTER)
            table[index] = place
            place += 1
        image.truncate(place * CLUSTER)
        image.seek(0)
        image.write(header(entries, start))
        table.tofile(image)
        image.flush()
        os.fsync(image.fileno())


def runs(file):
    """Where a file is no hole: pairs of a first byte and one past the last."""
    end, size = 0, os.fstat(file).st_size
    while end < size:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError:  # nothing but a hole is left
            return
        end = os.lseek(file, start, os.SEEK_HOLE)
        yield start, end


def stored(path):
    """The clusters of a raw disk that hold any data."""
    found = []
    with open(path, "rb") as disk:
        for start, end in runs(disk.fileno()):
            first, last = start // CLUSTER, (end - 1) // CLUSTER
            found.extend(range(max(first, found[-1] + 1 if found else 0), last + 1))
    return found


def write_disk(path, size, directory, fill=None):
    """A raw disk with a GPT and an ext4 partition that holds `size` bytes of this machine's files,
    put there by `fill`: copy_files or files_and_removed."""
    clusters = 64 + -(-size * 3 // 2 // CLUSTER)
    with open(path, "wb") as disk:
        disk.truncate(clusters * CLUSTER)
    last = (clusters - 1) * 2048 - 1
    tool("sgdisk", "--clear", "--set-alignment=1", f"--new=1:2048:{last}", path)
    tool("mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-b", "4096", "-i", "8192", "-E", "offset=1048576,lazy_itable_init=0",
         path, f"{(last - 2047) // 2}k")
    mount = os.path.join(directory, "mnt")
    os.makedirs(mount, exist_ok=True)
    tool("mount", "-o", "loop,offset=1048576", path, mount)
    try:
        apart(fill or copy_files, mount, size)
    finally:
        tool("umount", mount)


def copy_files(target, size):
    """Copies files of this machine until there are `size` bytes; more than once where it has less."""
    left, turn = size, 0
    while left > 0:
        turn += 1
        before = left
        for root, folders, names in os.walk("/usr"):
            folders.sort()
            copy = os.path.join(target, str(turn), root.lstrip("/"))
            os.makedirs(copy, exist_ok=True)
            for name in sorted(names):
                source = os.path.join(root, name)
                if left <= 0 or os.path.islink(source) or not os.path.isfile(source):
                    continue
                room = -(-os.path.getsize(source) // 4096) * 4096
                # One that is larger than the rest would fill the disk.
                if room <= left + size // 10:
                    shutil.copyfile(source, os.path.join(copy, name))
                    left -= room
            if left <= 0:
                return
        if left == before:
            raise SystemExit("there are no files in /usr to copy")


def files_and_removed(target, size):
    """Files of half the size, after others of the same size were removed."""
    for name in "kept", "removed":
        os.mkdir(os.path.join(target, name))
        copy_files(os.path.join(target, name), size // 2)
    os.sync()
    shutil.rmtree(os.path.join(target, "removed"))


class Data:
    """A raw disk with files on it, and how to make images of it."""

    def __init__(self, raw):
        self.raw = raw
        self.size = os.path.getsize(raw)
        self.entries = self.size // CLUSTER
        self.used = stored(raw)

    def image(self, path, shuffled=False):
        order = list(self.used)
        if shuffled:
            random.Random(1).shuffle(order)
        with open(self.raw, "rb") as raw:
            write_image(path, self.entries, [(index, (raw.fileno(), index * CLUSTER)) for index in order])
        return path

    def spread(self, path, tebibytes):
        """The same clusters, spread over a disk of so many TiB."""
        entries = tebibytes << 20
        step = entries // len(self.used)
        with open(self.raw, "rb") as raw:
            write_image(path, entries, [(turn * step, (raw.fileno(), index * CLUSTER))
                                        for turn, index in enumerate(self.used)])
        return path

    def chain(self, folder):
        """Three layers, base first, and the raw disk they make: the second layer has new bytes for
        every fourth cluster, the third for every seventh."""
        os.makedirs(folder)
        layers = [os.path.join(folder, name) for name in ("root.hds", "1.hds", "2.hds")]
        shift = {index: self.used[(at + 5) % len(self.used)] for at, index in enumerate(self.used)}
        now = {index: index for index in self.used}
        with open(self.raw, "rb") as raw:
            pick = lambda chosen: [(index, (raw.fileno(), now[index] * CLUSTER)) for index in chosen]
            write_image(layers[0], self.entries, pick(self.used))
            for layer, every in (1, 4), (2, 7):
                chosen = self.used[layer::every]
                now.update((index, shift[now[index]]) for index in chosen)
                random.Random(layer).shuffle(chosen)
                write_image(layers[layer], self.entries, pick(chosen))
            truth = os.path.join(folder, "truth.raw")
            with open(truth, "wb") as disk:
                disk.truncate(self.size)
                for index, content in now.items():
                    transfer(raw.fileno(), disk.fileno(), CLUSTER, content * CLUSTER, index * CLUSTER)
        return layers, truth

    def snapshot(self, folder, every=100):
        """A disk with a snapshot below, and above it new bytes for one of `every` clusters: its
        folder, the name of the snapshot, and the raw disk."""
        os.makedirs(folder)
        chosen = self.used[7::every]
        content = {index: self.used[(at * every + 12) % len(self.used)] for at, index in enumerate(chosen)}
        truth = os.path.join(folder, "truth.raw")
        tool("cp", "--sparse=always", self.raw, truth)
        with open(self.raw, "rb") as raw, open(truth, "r+b") as disk:
            pick = lambda chosen: [(index, (raw.fileno(), content.get(index, index) * CLUSTER)) for index in chosen]
            write_image(os.path.join(folder, "top.hds"), self.entries, pick(chosen))
            for index in chosen:
                transfer(raw.fileno(), disk.fileno(), CLUSTER, content[index] * CLUSTER, index * CLUSTER)
            content.clear()
            write_image(os.path.join(folder, "root.hds"), self.entries, pick(self.used))
        none = "{00000000-0000-0000-0000-000000000000}"
        below, top = ("{%08d-1111-4222-8333-444444444444}" % number for number in (1, 2))
        sectors = self.entries * CLUSTER // SECTOR
        image = "<Image><GUID>%s</GUID><Type>Compressed</Type><File>%s</File></Image>"
        shot = "<Shot><GUID>%s</GUID><ParentGUID>%s</ParentGUID></Shot>"
        with open(os.path.join(folder, "DiskDescriptor.xml"), "w") as descriptor:
            descriptor.write(
                "<?xml version=\"1.0\"?>\n<Parallels_disk_image>"
                f"<Disk_Parameters><Disk_size>{sectors}</Disk_size></Disk_Parameters>"
                f"<StorageData><Storage><Start>0</Start><End>{sectors}</End>"
                f"<Blocksize>{CLUSTER // SECTOR}</Blocksize>"
                + image % (below, "root.hds") + image % (top, "top.hds")
                + f"</Storage></StorageData><Snapshots><TopGUID>{top}</TopGUID>"
                + shot % (below, none) + shot % (top, below)
                + "</Snapshots></Parallels_disk_image>\n")
        return folder, below, truth


def write_table(path, tebibytes, kind):
    """See fill_table; apart from this process."""
    apart(fill_table, path, tebibytes, kind)
    return path


def fill_table(path, tebibytes, kind):
    """An image of so many TiB with nothing but a table; its clusters are holes of the file.

    `little`: 100 entries; `ordered`: all, in the order of the disk; `shuffled`: all, in none.
    """
    entries = tebibytes << 20
    start = data_start(entries)
    first = start // CLUSTER
    if kind == "little":
        table = array.array("I", bytes(4 * entries))
        for place, index in enumerate(random.Random(1).sample(range(entries), 100)):
            table[index] = first + place
        clusters = 100
    else:
        places = list(range(first, first + entries))
        if kind == "shuffled":
            random.Random(1).shuffle(places)
        table = array.array("I", places)
        clusters = entries
    with open(path, "wb") as image:
        image.write(header(entries, start))
        table.tofile(image)
        image.truncate(start + clusters * CLUSTER)
