"""`python -m water_gee.emulator --catalog DIR --port N`: serve a catalogue until told to stop.

One line of JSON on standard output says where, `{"url": "http://127.0.0.1:PORT"}`, as soon as
requests are answered. The server ends on SIGTERM and on Ctrl-C. Where its standard input is a pipe
(or with `--end-with-parent`, whatever it is) it also ends when that input does: a parent that holds
the other end takes the server with it, however it dies.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import stat
import sys
import threading
from typing import TYPE_CHECKING

from water_gee.errors import WaterGeeError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a catalogue.

    Args:
        arguments: The command line, `sys.argv` where None.

    Returns:
        The exit status: 0 after a stop that was asked for, 1 where the server could not start.
    """
    parser = argparse.ArgumentParser(prog="python -m water_gee.emulator", description=__doc__)
    parser.add_argument("--catalog", required=True, help="the catalogue's folder")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) for any free port")
    parser.add_argument(
        "--end-with-parent", action="store_true", help="end when standard input ends"
    )
    _add_faults(parser)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if options.end_with_parent or _is_pipe(0):
        threading.Thread(target=_watch_input, args=(stop,), daemon=True).start()
    from water_gee.emulator.faults import Faults
    from water_gee.emulator.requestfaults import RequestFaults
    from water_gee.emulator.server import start

    try:
        faults = Faults(
            task_failure=options.fail_tasks,
            seed=options.seed,
            messages=tuple(options.fail_message or Faults().messages),
            denied=tuple(options.deny or ()),
            requests=RequestFaults.parse(options.faults),
            slots=options.slots,
            canned=options.canned,
        )
        emulator = start(options.catalog, options.port, faults)
    except WaterGeeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    with emulator:
        sys.stdout.write(json.dumps({"url": emulator.url}) + "\n")
        sys.stdout.flush()
        stop.wait()
    return 0


def _add_faults(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fail-tasks", type=float, default=0.0, help="share of tasks that fail")
    parser.add_argument("--seed", type=int, default=0, help="of which tasks and requests")
    parser.add_argument("--fail-message", action="append", help="what failing tasks say")
    parser.add_argument("--deny", action="append", help="a project of somebody else")
    parser.add_argument("--faults", help="of requests for data, for example latency=0.5,429=0.02")
    parser.add_argument("--slots", type=int, help="most requests for data at once; 429 beyond")
    parser.add_argument("--canned", action="store_true", help="compute pixels of each kind once")


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _watch_input(stop: threading.Event) -> None:
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
