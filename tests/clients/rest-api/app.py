"""A REST service that has a secret and a TLS certificate only where `cloudauth run` started it.

What it needs is in the directory of CLOUDAUTH_RUN_DIRECTORY: `secret`, `tls/flask.crt` and `tls/flask.key`. The
secret is read for each request, so a new one counts at once; SIGHUP says that all files are new, and the
certificate is loaded again for the connections to come. No connection ends for either.
"""

import logging
import os
import signal
import ssl
import sys
import time
from pathlib import Path

from flask import Flask, jsonify
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

DIRECTORY = Path(os.environ.get("CLOUDAUTH_RUN_DIRECTORY", "/run/rest-api/files"))
LISTEN = os.environ.get("LISTEN", "0.0.0.0:4996")
log = logging.getLogger("rest-api")
app = Flask(__name__)


@app.get("/secret")
def secret():
    value = (DIRECTORY / "secret").read_text()
    return jsonify(access_timestamp=time.time(), secret=value)


@app.get("/healthz")
def healthy():
    return "", 204


def context():
    """TLS with the certificate and the key that are there now, which must fit."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(DIRECTORY / "tls/flask.crt", DIRECTORY / "tls/flask.key")
    return made


class Handler(WSGIRequestHandler):
    # A connection that says nothing for so many seconds ends.
    timeout = 30
    protocol_version = "HTTP/1.1"


class Server(ThreadedWSGIServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host, port):
        self.context = context()
        super().__init__(host, port, app, Handler)
        self.ssl_context = self.context
        signal.signal(signal.SIGHUP, self.renew)

    def renew(self, *_):
        try:
            # A new one, and only a whole one takes the old one's place.
            self.context = context()
        except (OSError, ssl.SSLError) as error:
            log.error("the new certificate cannot be used, the old one stays: %s", error)
        else:
            log.info("the certificate was loaded again")

    def get_request(self):
        connection, address = super().get_request()
        # The handshake is the connection's thread's, not that of who waits for the next one.
        tls = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return tls, address


def main():
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    host, _, port = LISTEN.rpartition(":")
    try:
        value = (DIRECTORY / "secret").read_text()
        context()
    except (OSError, ssl.SSLError) as error:
        sys.exit(f"rest-api: {DIRECTORY}: {error}; start it with cloudauth run")
    if not value:
        sys.exit(f"rest-api: {DIRECTORY}/secret is empty")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = Server(host, int(port))
    log.info("https on %s, port %d", host, server.port)
    server.serve_forever()


if __name__ == "__main__":
    main()
