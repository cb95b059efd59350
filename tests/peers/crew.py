"""The workers of the plain loop: threads or forked processes that share a counter, a database and the pictures."""

import argparse
import multiprocessing
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from bundle import Bundle
from inspector import Inspector, decoder, load

FORK = multiprocessing.get_context("fork")
POOLS = ("processes", "threads")
KEPT = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
TABLE = """CREATE TABLE part
    (id INTEGER PRIMARY KEY, at REAL, picture TEXT, verdict TEXT, label TEXT, score REAL, scores BLOB, kept TEXT)"""
INSERT = "INSERT INTO part VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
CREW: "Crew"
"""A forked process inherits it, with locks and pictures, which cannot be sent to it."""


@dataclass
class Tally:
    """What one worker did."""

    started: float = 0.0
    ended: float = 0.0
    cpu_s: float = 0.0
    memory_bytes: int = 0
    decided_ms: list[float] = field(default_factory=list)
    recorded_ms: list[float] = field(default_factory=list)
    parts: list[tuple[int, float, str, str, str]] = field(default_factory=list)
    kept: int = 0


class Crew:
    """What the workers share, whether they are threads or forked processes."""

    def __init__(self, args: argparse.Namespace, bundle: Bundle, folder: Path) -> None:
        self.args, self.bundle, self.folder = args, bundle, folder
        begun = time.perf_counter()
        self.names, self.pictures = load(args.images, args.decode == "raw")
        self.loading_s = time.perf_counter() - begun
        database = open_database(folder)
        database.execute(TABLE)
        database.close()  # a forked process must not go on with it
        self.next = FORK.Value("q", 0)
        self.together = FORK.Barrier(args.workers + 1)
        self.one_writer = FORK.Lock()  # SQLite's own waiting for its one writer sleeps for too long

    def take(self) -> int:
        with self.next.get_lock():
            self.next.value += 1
            return self.next.value - 1

    def inspect(self) -> Tally:
        """Takes parts until there are no more, or the time is over."""
        args, bundle, tally = self.args, self.bundle, Tally()
        inspector, decode = inspecting(args.decode, bundle, self.folder)
        database = open_database(self.folder)
        inspector.scores(decode(self.pictures[0]))
        processor = time.thread_time if args.pool == "threads" else time.process_time
        self.together.wait()
        tally.started, cpu = time.perf_counter(), processor()
        while (part := self.take()) < args.parts and time.perf_counter() - tally.started < args.seconds:
            begun = time.perf_counter()
            name, picture = (of[part % len(self.pictures)] for of in (self.names, self.pictures))
            scores = inspector.scores(decode(picture))
            verdict, label = bundle.verdict(scores)
            score = float(scores[bundle.labels.index(label)])
            tally.decided_ms.append((time.perf_counter() - begun) * 1000)
            kept = f"{part}.jpg" if verdict != "Pass" else None
            with self.one_writer, database:
                database.execute(INSERT, (part, time.time(), name, verdict, label, score, scores.tobytes(), kept))
            tally.recorded_ms.append((time.perf_counter() - begun) * 1000)
            if kept:
                tally.kept += 1
                (self.folder / kept).write_bytes(self.as_jpeg(picture))
            tally.parts.append((part, score, verdict, label, name))
        tally.ended, tally.cpu_s = time.perf_counter(), processor() - cpu
        self.together.wait()
        tally.memory_bytes = memory_bytes()
        self.together.wait()
        return tally

    def as_jpeg(self, picture: np.ndarray) -> bytes:
        """A file as it came, a raw frame at quality 95 without chroma subsampling: what inspectd keeps."""
        if self.args.decode != "raw":
            return picture.tobytes()
        return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), KEPT)[1].tobytes()

    def run(self) -> tuple[list[Tally], float, int]:
        """The workers' tallies, seconds from this program's start to their being ready, and the memory of all."""
        global CREW
        CREW = self
        forked = self.args.pool == "processes"
        with ProcessPoolExecutor(self.args.workers, FORK) if forked else ThreadPoolExecutor(self.args.workers) as pool:
            workers = [pool.submit(inspect_with_crew) for _ in range(self.args.workers)]
            for worker in workers:
                # The others wait for one that failed, or was killed.
                worker.add_done_callback(lambda done: done.exception() and self.together.abort())
            try:
                self.together.wait()
                ready_s = since_start_s() - self.loading_s
                self.together.wait()
                memory = memory_bytes()
                self.together.wait()
            except threading.BrokenBarrierError:
                errors = [worker.exception() for worker in workers]
                raise next(error for error in errors if not isinstance(error, threading.BrokenBarrierError)) from None
            tallies = [worker.result() for worker in workers]
        return tallies, ready_s, memory + forked * sum(tally.memory_bytes for tally in tallies)


def inspecting(name: str, bundle: Bundle, folder: Path) -> tuple[Inspector, Callable]:
    """What a worker takes to look at pictures, and how it opens them."""
    if name != "anomalib":
        return Inspector(bundle), decoder(name, bundle)
    import anomalib_peer  # some seconds, which nobody else should pay

    own = folder / str(os.getpid())
    own.mkdir()
    os.chdir(own)  # it leaves a cache where it stands
    return anomalib_peer.AnomalibInspector(bundle, own), anomalib_peer.decode


def inspect_with_crew() -> Tally:
    return CREW.inspect()


def open_database(folder: Path) -> sqlite3.Connection:
    """One connection per worker: a commit returns when the disk has it."""
    database = sqlite3.connect(folder / "parts.sqlite", timeout=60)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    return database


def memory_bytes() -> int:
    """This process' memory; what it shares with others counts by share (PSS)."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) << 10


def since_start_s() -> float:
    """Since this process was started, interpreter and imports included; by the kernel's clock of hundredths."""
    fields = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
