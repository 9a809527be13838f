"""An STS whose credentials end within seconds: AWS's and the emulator's last a quarter of an hour at least."""

import http.server
import itertools
import threading
import time

ANSWER = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA{number:016}</AccessKeyId>
<SecretAccessKey>secret-{number}</SecretAccessKey><SessionToken>token-{number}</SessionToken>
<Expiration>{end}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


class ShortSts:
    """Answers AssumeRoleWithWebIdentity, the call that nobody signs."""

    def __init__(self, life):
        self.life, self.down, self.calls = life, False, 0
        numbers, owner = itertools.count(1), self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                owner.calls += 1
                end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + owner.life))
                body = ANSWER.format(number=next(numbers), end=end).encode()
                self.send_response(500 if owner.down else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
