"""The template of porters; and a porter: one errand after the other, until the worker hangs up.

    python -m appliance.porter SETTINGS PARENT CONTROL

SETTINGS is an inherited file that holds the settings as JSON, PARENT the number of the worker's
process, or the pages', CONTROL the inherited socket on which that one asks for porters.

Not here: what an errand is (errands), what is read out (reading), who starts and kills us (the
package).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import sys

from appliance import daemon, journal, limits
from appliance.errors import ApplianceError, Bug
from appliance.porter import errands, reading
from appliance.porter.talk import Errand, HungUp, Looking, Reading, Refused, Talk, Word
from appliance.settings import Settings
from appliance.store.ledger import Ledger

log = logging.getLogger("appliance.porter")


def serve(talk: Talk, settings: Settings) -> None:
    """Answer every errand. Every error of this process ends here, or is told."""
    with Ledger(settings.state_dir) as ledger, contextlib.suppress(HungUp):
        while True:
            asked = talk.receive()
            if isinstance(asked, Errand | Reading | Looking):
                about = asked.about if isinstance(asked, Errand) else {}
                with journal.about(**about):
                    talk.send(_answer(ledger, settings, talk, asked))


def _answer(
    ledger: Ledger, settings: Settings, talk: Talk, asked: Errand | Reading | Looking
) -> Word:
    try:
        match asked:
            case Reading():
                return reading.read_out(ledger, settings, talk, asked)
            case Looking():
                return reading.look(ledger, settings, asked)
        log.info("carrying", extra={"verb": asked.verb})
        return errands.carry(ledger, settings, talk, asked)
    except ApplianceError as error:
        return Refused(error.code, error.detail)
    except HungUp:
        raise
    except Exception as bug:
        log.exception("bug", extra={"code": Bug.code})
        return Refused(Bug.code, {"what": type(bug).__name__})


def main(arguments: list[str]) -> int:
    """Fork the porters of a worker; what the process exits with comes back."""
    told, parent, control = map(int, arguments)
    daemon.die_with(parent)
    # Told to all of a unit's processes at once: our worker decides when we go.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    journal.to_stderr("porter")
    with os.fdopen(told, "rb") as stream:
        settings = Settings.model_validate(json.load(stream))

    def work(fd: int) -> int:
        with Talk(socket.socket(fileno=fd)) as talk:
            serve(talk, settings)
        return 0

    with socket.socket(fileno=control) as asked:
        return limits.serve(asked, work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
