# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fresh machine: Debian with git and make, a clone of this checkout, and this machine's way to the registries.

What set-up forgets to install is missing there, whatever the machine around it has.
"""

from __future__ import annotations

import ast
import configparser
import io
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from . import rootfs
from .environment import CHECKOUT, prefix
from .podman import LabError, Podman, atomic_write, require

# What it takes to get a checkout and to type `make`. Nothing may be added for a test: that is for set-up to install.
RECIPE = rootfs.Recipe("localhost/day2-pristine", "bookworm", ("ca-certificates", "git", "make"))
FOLDER = CHECKOUT / ".lab" / "pristine"
INSIDE = "/srv/day2.ops"
# Where the files that pip's settings name are found inside.
PASSED = "/run/passed"
# The first process has to collect those whose parents have ended: bash does, what it runs may not.
FIRST = ("bash", "-c", '"$@"; exit $?', "bash")


def run(command: list[str]) -> int:
    """Run a command in a new clone of this checkout on the fresh machine; return its exit status."""
    require("git", "mmdebstrap")
    podman = Podman(CHECKOUT / ".lab")
    image = rootfs.ensure(podman, CHECKOUT / ".lab", RECIPE)
    _clone()
    settings = Settings()
    # Names only: a value may hold a password.
    options = [f"--env={name}" for name in settings.environment]
    options += [f"--volume={place}:{PASSED}{place}:ro" for place in sorted(settings.places)]
    atomic_write(FOLDER / "pip.conf", settings.file, 0o600)
    options += [f"--volume={FOLDER / 'pip.conf'}:/etc/pip.conf:ro", f"--volume={FOLDER / 'checkout'}:{INSIDE}"]
    name = f"{prefix()}-pristine"
    podman.try_run("rm", "--force", "--time", "0", name)
    machine = ["--network=host", "--cap-add=all", f"--name={name}", f"--workdir={INSIDE}"]
    argv = [str(podman.wrapper), "run", "--rm", *machine, *options, image, *FIRST, *command]
    environment = {**os.environ, **settings.environment}
    # Its first process hears no signal, and goes on when podman has been ended.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, env=environment, check=False).returncode
    finally:
        podman.try_run("rm", "--force", "--time", "0", name)


def _clone() -> None:
    """As somebody gets it: what is committed, and nothing that lies about here."""
    changes = _git("-C", str(CHECKOUT), "status", "--porcelain")
    if changes:
        print(f"not in the clone, because it is not committed:\n{changes}", file=sys.stderr, flush=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    _git("clone", "--quiet", "--no-hardlinks", str(CHECKOUT), str(FOLDER / "checkout"))


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"git {' '.join(arguments)} exited {done.returncode}: {done.stderr.strip()}")
    return done.stdout.rstrip()


class Settings:
    """How pip is set up here, for a place where the files that it names are below PASSED."""

    def __init__(self) -> None:
        self.places: set[str] = set()
        # What a file says that is named there is in ours.
        named = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        named.pop("PIP_CONFIG_FILE", None)
        self.environment = {name: self._moved(name, value) for name, value in named.items()}
        command = [sys.executable, "-m", "pip", "config", "list"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        sections = configparser.RawConfigParser()
        for line in shown.splitlines():
            name, _equals, value = line.partition("=")
            section, _dot, key = name.partition(".")
            if section != ":env:":
                if not sections.has_section(section):
                    sections.add_section(section)
                sections.set(section, key, self._moved(key, ast.literal_eval(value)))
        written = io.StringIO()
        sections.write(written)
        self.file = written.getvalue()

    def _moved(self, name: str, value: str) -> str:
        return "\n".join(self._place(name, word) for word in value.split())

    def _place(self, name: str, word: str) -> str:
        scheme, path = ("file://", word[7:]) if word.startswith("file://") else ("", word)
        if not (path.startswith("/") and Path(path).exists()):
            return word
        # The pages of an index link to files beside it.
        self.places.add(str(Path(path).parent) if "index" in name.lower() else path)
        return f"{scheme}{PASSED}{path}"
