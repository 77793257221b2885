"""Proves that the model checker finds mistakes: builds it with one mistake at a time in the store, and runs it as
`make test` does, but to its first failure. A mistake that is not found fails the proof.

    seeded.py OBJECT...      the checker's object files; CC, CFLAGS, LINK, LIBS from the environment (model.mk)
    BUG=name                 only those with `name` in theirs

The mistakes are in seeded.txt: a name, the file, the text that goes and the text that comes. When the text that goes is
not there exactly once, the code has changed: the mistake has to be put in anew."""
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def read_bugs():
    with open(os.path.join(TOP, "tests/model/seeded.txt"), encoding="utf-8") as f:
        text = re.sub(r"^#.*\n", "", f.read(), flags=re.M)
    for block in text.strip().split("\n\n"):
        lines = block.split("\n")
        name, path = lines[0].split(": ")
        gone = "\n".join(line[1:] for line in lines[1:] if line[0] == "-")
        comes = "\n".join(line[1:] for line in lines[1:] if line[0] == "+")
        yield name, path, gone, comes


def build(folder, path, gone, comes, objects):
    """The checker with the mistake: its object comes before the library, which then gives the rest."""
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        source = f.read()
    if source.count(gone) != 1:
        return None, f"the text to be changed is {source.count(gone)} times in {path}"
    changed, program = os.path.join(folder, os.path.basename(path)), os.path.join(folder, "model")
    with open(changed, "w", encoding="utf-8") as f:
        f.write(source.replace(gone, comes))
    flags = [flag for flag in shlex.split(os.environ["CFLAGS"]) if flag != "-Werror"] + ["-w"]
    compiler = shlex.split(os.environ["CC"])
    for command in (
        [*compiler, *flags, "-c", "-o", changed + ".o", changed],
        [*compiler, *shlex.split(os.environ["LINK"]), "-o", program, *objects, changed + ".o",
         *shlex.split(os.environ["LIBS"])],
    ):
        made = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
        if made.returncode:
            return None, made.stderr
    return program, ""


def prove(name, path, gone, comes, objects):
    with tempfile.TemporaryDirectory() as folder:
        program, why = build(folder, path, gone, comes, objects)
        if not program:
            print(f"FAILED {name}: {why}")
            return False
        began = time.monotonic()
        run = subprocess.run([program, "--quick"], capture_output=True, text=True, check=False)
        found = re.search(r"^FAILED: (.*)\n +(.*)", run.stdout, flags=re.M)
        if run.returncode == 0 or not found:
            print(f"FAILED {name}: not found in {time.monotonic() - began:.1f} s {run.stderr}")
            return False
        print(f"ok     {name}: {found[1]}, after {time.monotonic() - began:.1f} s: {found[2][:90]}", flush=True)
        return True


def main():
    bugs = [bug for bug in read_bugs() if os.environ.get("BUG", "") in bug[0]]
    found = [prove(*bug, sys.argv[1:]) for bug in bugs]
    print(f"{sum(found)} of {len(bugs)} mistakes found")
    return not all(found)


sys.exit(main())
