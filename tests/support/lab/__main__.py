# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`lab image | up | s3 | kill | down | exec | status | pristine`: see docs/lab.md."""

from __future__ import annotations

import argparse
import os
import sys
import time

from . import image, pristine, rootfs
from .environment import CHECKOUT, Lab, prefix
from .podman import LabError, Podman


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        return int(options.act(options))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="Real systemd hosts in containers.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    verb = verbs.add_parser("image", help="build the base image unless it is cached; print its name")
    verb.set_defaults(act=_image)
    verb = verbs.add_parser("up", help="bring up a lab's hosts")
    verb.add_argument("name")
    verb.add_argument("--host", action="append", required=True, metavar="NAME=TYPE", type=_host)
    verb.set_defaults(act=_up)
    verb = verbs.add_parser("s3", help="start an S3 for a lab's hosts; print its address")
    verb.add_argument("name")
    verb.set_defaults(act=_s3)
    verb = verbs.add_parser("kill", help="end a host as a power cut does; it stays, and `up` starts it again")
    verb.add_argument("name")
    verb.add_argument("host")
    verb.set_defaults(act=_kill)
    verb = verbs.add_parser("down", help="remove a lab and all of its hosts")
    verb.add_argument("name")
    verb.set_defaults(act=_down)
    verb = verbs.add_parser("exec", help="run a command on a host")
    verb.add_argument("name")
    verb.add_argument("host")
    verb.add_argument("argv", nargs=argparse.REMAINDER)
    verb.set_defaults(act=_exec)
    verb = verbs.add_parser("pristine", help="run a command in a new clone on a fresh Debian with git and make alone")
    verb.add_argument("argv", nargs=argparse.REMAINDER)
    verb.set_defaults(act=_pristine)
    verb = verbs.add_parser("status", help="what of this checkout is up")
    verb.set_defaults(act=_status)
    return parser


def _host(text: str) -> tuple[str, str]:
    name, equals, kind = text.partition("=")
    if not (name and equals and kind):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=TYPE")
    return name, kind


def _image(options: argparse.Namespace) -> int:
    del options
    state = CHECKOUT / ".lab"
    print(rootfs.ensure(Podman(state), state, image.RECIPE))
    return 0


def _up(options: argparse.Namespace) -> int:
    began = time.monotonic()
    lab = Lab(options.name)
    for host in lab.up(dict(options.host)):
        print(f"{host.name} ({host.type}) is up at {host.address}: ssh -F {lab.ssh_config} {host.name}")
    print(f"lab {options.name}: {time.monotonic() - began:.1f} s")
    return 0


def _s3(options: argparse.Namespace) -> int:
    print(Lab(options.name).s3())
    return 0


def _kill(options: argparse.Namespace) -> int:
    Lab(options.name).kill(options.host)
    return 0


def _down(options: argparse.Namespace) -> int:
    removed = Lab(options.name).down()
    print(f"lab {options.name}: removed {', '.join(removed) if removed else 'nothing, it was not up'}")
    return 0


def _exec(options: argparse.Namespace) -> int:
    lab = Lab(options.name)
    argv = _command(options.argv)
    terminal = ["-it"] if sys.stdin.isatty() and sys.stdout.isatty() else ["-i"]
    command = [str(lab.podman.wrapper), "exec", *terminal, lab.container(options.host), *(argv or ["bash"])]
    os.execv(command[0], command)


def _pristine(options: argparse.Namespace) -> int:
    return pristine.run(_command(options.argv))


def _command(argv: list[str]) -> list[str]:
    return argv[1:] if argv[:1] == ["--"] else argv


def _status(options: argparse.Namespace) -> int:
    del options
    podman = Podman(CHECKOUT / ".lab")
    shown = podman.run(
        "ps", "--all", "--filter", f"name=^{prefix()}-", "--format", "{{.Names}}\t{{.Status}}\t{{.Image}}"
    )
    cached = podman.succeeds("image", "exists", image.RECIPE.tag())
    print(shown.strip() or f"no hosts are up ({prefix()}-*)")
    print(f"image {image.RECIPE.tag()}: {'cached' if cached else 'not built yet'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
