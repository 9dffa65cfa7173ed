"""The process that serves the pages: gunicorn with one worker and threads. `appliance web`.

One process, because everything the pages share lives in it; threads, because a page
mostly waits for SQLite. Without TLS it answers this machine alone: passwords and sessions
would cross the network for everybody to read. A socket is for a web server with TLS before it.

Not here: what is served (create_app).
"""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import sys
from typing import Any, Final

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from appliance import daemon, journal
from appliance.errors import ApplianceError, SettingsInvalid
from appliance.settings import Settings, load
from appliance.store import schema
from web import create_app, db, media, proof

_THREADS: Final = 64  # uploads, answers and listeners hold a dozen each; the rest is for pages
_STOP_SECONDS: Final = 10
# An open page asks every two seconds, which is also after how long gunicorn hangs up by itself:
# now and then a question met a closed door. A connection that is silent holds no thread.
_KEPT_SECONDS: Final = 15


class Journal(Logger):  # type: ignore[misc]  # gunicorn carries no types
    """Gunicorn's log, told like that of every other process."""

    def setup(self, _cfg: object) -> None:
        """Hand every record on to our own log."""
        self.error_log.propagate = True
        self.error_log.setLevel(logging.INFO)


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn carries no types
    """Gunicorn, told everything by us and nothing by files or the environment."""

    def __init__(self, settings: Settings, file: str | None) -> None:
        self._settings = settings
        self._file = file
        super().__init__()

    def load_config(self) -> None:
        """Say how it runs."""
        listen = self._settings.web.listen
        for key, value in {
            "bind": f"unix:{listen}" if listen.startswith("/") else listen,
            "umask": 0o007,  # of the socket: its group may talk to us, nginx is in it
            "workers": 1,
            "worker_class": "gthread",
            "threads": _THREADS,
            "graceful_timeout": _STOP_SECONDS,
            "keepalive": _KEPT_SECONDS,
            "control_socket_disable": True,
            "limit_request_line": 2048,
            "limit_request_fields": 50,
            "forwarded_allow_ips": "",
            "logger_class": Journal,
            "proc_name": "appliance-web",
            "worker_exit": _let_go,
            "when_ready": _ready,
            "post_worker_init": _prove,
            "on_exit": _stopping,
        }.items():
            self.cfg.set(key, value)

    def load(self) -> Flask:
        """Build the app, in the worker: a ledger is not carried over a fork."""
        schema.prepare(self._settings.state_dir)  # gunicorn begins anew after a lost ledger
        app = create_app(self._settings, file=self._file)
        db.when_lost(app, lambda: os.kill(os.getpid(), signal.SIGTERM))
        return app


def _ready(_arbiter: object) -> None:
    daemon.ready()


def _prove(worker: Any) -> None:  # noqa: ANN401 - gunicorn carries no types
    app = getattr(worker, "wsgi", None)
    if isinstance(app, Flask):
        app.extensions["appliance.streams"].stays = lambda: worker.alive
    seconds = daemon.watchdog_seconds()
    if seconds is not None:
        proof.prove(worker.sockets[0].sock, seconds, daemon.progressed)


def _stopping(_arbiter: object) -> None:
    daemon.stopping()


def _let_go(_arbiter: object, worker: Any) -> None:  # noqa: ANN401 - gunicorn carries no types
    app = getattr(worker, "wsgi", None)
    if isinstance(app, Flask):
        media.close(app)
        db.close(app)


def refuse_strangers(settings: Settings) -> None:
    """Raise SettingsInvalid for an address that other machines can reach."""
    listen = settings.web.listen
    if listen.startswith("/"):
        return
    host = listen.rpartition(":")[0].strip("[]")
    if host == "localhost" or _is_loopback(host):
        return
    mistake = f"  web.listen: {listen} can be reached from other machines"
    reason = (
        ", and passwords would cross the network in the clear: listen on 127.0.0.1, [::1]"
        " or on a socket, with a web server that speaks TLS before it"
    )
    raise SettingsInvalid(file="The settings", count=1, mistakes=mistake + reason)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def main(file: str | None) -> int:
    """Serve until TERM; 78 where the settings are wrong."""
    journal.to_stderr("web")
    try:
        settings = load(file)
        refuse_strangers(settings)
        schema.prepare(settings.state_dir)
    except ApplianceError as error:
        sys.stderr.write(f"{error.code}: {error.sentence}\n{error.next_step}\n")
        return 78 if isinstance(error, SettingsInvalid) else 75
    Server(settings, file).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else None))
