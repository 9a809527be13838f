"""The listing calls of Google Cloud Storage and Azure Blob Storage, which the emulator does not have, and what keeps
the token requests on their way to the emulator."""

import datetime
import http.client
import http.server
import ipaddress
import json
import ssl
import threading
import urllib.parse

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes

import emulator as e
import support


class _Service:
    """A server on loopback that answers whoever has a token that it likes."""

    scheme = "http"

    def __init__(self):
        self.seen, self.refuse = [], 0
        service = self
        # What speaks TLS has these for it.
        self.ca = None

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                service.answer(self)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def over_tls(self, folder):
        key = support.new_key("p-256")
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(support.name("stub")).issuer_name(support.name("stub")).public_key(key.public_key())
            .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .sign(key, hashes.SHA256())
        )  # fmt: skip
        self.scheme = "https"
        self.ca = support.private_file(folder / "stub.pem", support.cert_pem(certificate))
        private = support.private_file(folder / "stub.key", support.key_pem(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, private)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

    def answer(self, request):
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        self.seen.append((token, dict(request.headers), request.path))
        status, body = 401, b"{}"
        if self.refuse:
            self.refuse -= 1
        elif kind == "Bearer" and self.check(token):
            status, body = 200, self.body(urllib.parse.urlsplit(request.path).path)
        request.send_response(status)
        request.send_header("Content-Type", self.content)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


class StorageService(_Service):
    content = "application/json"

    def __init__(self, public_key):
        super().__init__()
        self.public_key = public_key

    def check(self, token):
        try:
            # A service account's own token with scopes has no audience.
            claims = jwt.decode(token, self.public_key, ["RS256"])
        except jwt.InvalidTokenError:
            return False
        return claims["iss"] == claims["sub"] == e.ROBOT and "scope" in claims

    def body(self, path):
        assert path == "/storage/v1/b", path
        return json.dumps({"kind": "storage#buckets", "items": [{"name": "a"}, {"name": "b"}]}).encode()


class BlobService(_Service):
    """Over TLS: azure-core sends tokens no other way."""

    content = "application/xml"

    def __init__(self, folder):
        super().__init__()
        self.over_tls(folder)

    def check(self, token):
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return False
        return claims["aud"] == "https://storage.azure.com"

    def body(self, path):
        assert path == "/container1", path
        kind = "<Properties><BlobType>BlockBlob</BlobType></Properties>"
        blobs = "".join(f"<Blob><Name>{name}</Name>{kind}</Blob>" for name in ("x", "y"))
        listed = f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker /></EnumerationResults>"
        return f'<?xml version="1.0"?>{listed}'.encode()


class TokenService(_Service):
    """What stands before the emulator's Entra ID, and keeps the forms that come by."""

    def __init__(self, emulator, folder):
        super().__init__()
        self.emulator = emulator
        self.over_tls(folder)

    def answer(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        if request.command == "POST":
            self.seen.append({name: one for name, (one,) in urllib.parse.parse_qs(body.decode()).items()})
        trust = ssl.create_default_context(cafile=self.emulator.ca)
        there = http.client.HTTPSConnection(self.emulator.host, timeout=20, context=trust)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
        there.request(request.command, request.path, body, headers)
        answer = there.getresponse()
        content = answer.read()
        there.close()
        request.send_response(answer.status)
        request.send_header("Content-Type", answer.headers["Content-Type"])
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)
