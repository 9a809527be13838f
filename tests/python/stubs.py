"""The listing calls of Google Cloud Storage and Azure Blob Storage, which the emulator does not have."""

import http.server
import json
import ssl
import threading
import urllib.parse

import jwt

import emulator as e
import support


class _Service:
    """A server on loopback that answers whoever has a token that it likes."""

    scheme = "http"

    def __init__(self):
        self.seen, self.refuse = [], 0
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                service.answer(self)

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

    scheme = "https"
    content = "application/xml"

    def __init__(self, folder):
        super().__init__()
        import datetime
        import ipaddress

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        key = support.new_key("p-256")
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(support.name("blobs")).issuer_name(support.name("blobs")).public_key(key.public_key())
            .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .sign(key, hashes.SHA256())
        )  # fmt: skip
        self.ca = support.private_file(folder / "blobs.pem", support.cert_pem(certificate))
        private = support.private_file(folder / "blobs.key", support.key_pem(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, private)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

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
