"""An hour of simulated time in the hands of fifty threads: what test_lives.py starts with a clock that it moves.

usage: hour.py SHIM FILE, with what to tell the constructors, in JSON. Says which credentials there were.
"""

import ctypes
import json
import sys
import threading
import urllib.request

from cloudauth.aws import AWSCredentials
from cloudauth.azure import AzureCredentials
from cloudauth.gcp import GCPCredentials

THREADS = 50
STEP = 60


def main():
    shim = ctypes.CDLL(sys.argv[1])
    with open(sys.argv[2]) as file:
        told = json.load(file)

    def move(seconds):
        shim.clock_ahead(ctypes.c_long(seconds))
        body = json.dumps({"offset": seconds}).encode()
        request = urllib.request.Request(told["clock"], body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=10).close()

    google = GCPCredentials(**told["gcp"])
    session = AWSCredentials(**told["aws"]).get_session()
    azure = AzureCredentials(**told["azure"])

    def token():
        headers = {}
        google.before_request(None, "GET", "https://a.example", headers)
        return headers["authorization"]

    uses = {
        "gcp": token,
        "aws": lambda: session.get_credentials().get_frozen_credentials().token,
        "azure": lambda: azure.get_token("https://vault.azure.net/.default").token,
    }
    found = {name: set() for name in uses}
    failures = []
    start, done = threading.Barrier(THREADS + 1), threading.Barrier(THREADS + 1)
    steps = range(0, 3600 + STEP, STEP)

    def work():
        for _ in steps:
            start.wait(60)
            try:
                for name, use in uses.items():
                    found[name].add(use())
            except Exception as error:
                failures.append(repr(error))
            done.wait(60)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for seconds in steps:
        move(seconds)
        start.wait(60)
        done.wait(60)
    for thread in threads:
        thread.join()
    print(json.dumps({"failures": failures, **{name: len(tokens) for name, tokens in found.items()}}))


if __name__ == "__main__":
    main()
