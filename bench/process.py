"""Running programs, and watching what they use."""

import json
import os
import pathlib
import re
import select
import signal
import subprocess
import threading
import time

START_LIMIT_S = 600


class Failure(Exception):
    """Something that makes the figures worthless; its text is what the user sees."""


def say(text):
    print(text, flush=True)


def tail(path):
    return "\n".join(pathlib.Path(path).read_text(errors="replace").splitlines()[-10:])


def run(arguments, **options):
    command = [str(a) for a in arguments]
    result = subprocess.run(command, capture_output=True, text=True, **options)
    if result.returncode != 0:
        raise Failure(f"{' '.join(command)}\nfailed: {result.stderr.strip()}\n{result.stdout.strip()}")
    return result.stdout


def run_json(arguments, **options):
    """Runs a program that prints one JSON line, and returns that."""
    return json.loads(run(arguments, **options))


def start(arguments):
    return subprocess.Popen([str(a) for a in arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish_json(process):
    out, err = process.communicate()
    if process.returncode != 0:
        raise Failure(f"{' '.join(process.args)}\nfailed: {err.strip()}\n{out.strip()}")
    return json.loads(out)


class Server:
    """A program that prints `listening on URL` when it is ready. Its log goes to a file."""

    def __init__(self, arguments, log):
        self.log = log
        started = time.monotonic()
        with open(log, "ab") as err:
            self.process = subprocess.Popen([str(a) for a in arguments], stdout=subprocess.PIPE, stderr=err)
        self.url = self.wait_for_line(started + START_LIMIT_S)
        self.start_s = time.monotonic() - started

    def wait_for_line(self, deadline):
        text = b""
        while b"\n" not in text:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            if not piece:
                self.kill()
                raise Failure(f"{self.process.args[0]} did not start:\n{tail(self.log)}")
            text += piece
        return re.search(r"listening on (http://\S+)", text.decode()).group(1)

    @property
    def pid(self):
        return self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.kill() if kind else self.stop()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"{self.process.args[0]} did not stop within 120 s:\n{tail(self.log)}") from None
        self.process.stdout.close()
        if status != 0:
            raise Failure(f"{self.process.args[0]} ended with {status}:\n{tail(self.log)}")


def anonymous_mib(pid):
    """What a process keeps in memory that no file backs."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"RssAnon:\s+(\d+) kB", status).group(1)) / 1024


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def mappings(pid):
    return len(pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines())


class Peak:
    """The highest anonymous memory of a process, looked at 50 times a second while the block runs."""

    def __init__(self, pid):
        self.pid, self.mib = pid, anonymous_mib(pid)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.over.wait(0.02):
            try:
                self.mib = max(self.mib, anonymous_mib(self.pid))
            except (FileNotFoundError, ProcessLookupError, AttributeError):
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def drop_caches():
    """False where this user may not."""
    os.sync()
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n", encoding="ascii")
    except OSError:
        return False
    return True


def size_mib(folder):
    return sum(f.stat().st_size for f in pathlib.Path(folder).rglob("*") if f.is_file()) / (1 << 20)
