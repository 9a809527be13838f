"""The samples of the old packages' READMEs, by whichever packages this Python has: the old ones or our drop-ins.

usage: peer.py old|new cloud_auth_pkcs|cloud_auth_tpm FILE, with what to tell the constructors, in JSON. Says
what came of it, in JSON too. The old packages know the clouds' own addresses alone: for them, and only here, such
an address leads to the emulator.
"""

import importlib.util
import json
import os
import sys
import time

import jwt


#: The forms that the old package asked Entra ID with.
FORMS = []


def lead(emulator):
    """Sends what is for a cloud to the emulator, which finds the service by the header Host."""
    import urllib.parse

    import requests

    send = requests.Session.request

    def request(self, method, url, **options):
        parts = urllib.parse.urlsplit(url)
        if parts.path.endswith("/oauth2/v2.0/token"):
            body = requests.Request(method, url, data=options["data"]).prepare().body
            FORMS.append({name: one for name, (one,) in urllib.parse.parse_qs(body).items()})
        if parts.hostname != "127.0.0.1":
            options["headers"] = {**(options.get("headers") or {}), "Host": parts.netloc}
            url = emulator + parts.path
        return send(self, method, url, **options)

    requests.Session.request = request


def identity(session, told):
    sts = session.client("sts", endpoint_url=told["url"], verify=told["ca"])
    return sts.get_caller_identity()["Arn"]


def results(package, told):
    def made(module, name, label, **more):
        kind = getattr(importlib.import_module(f"{package}.{module}"), name)
        return kind(**told["keys"][label], **more)

    google = made("gcp.gcpcredentials", "GCPCredentials", "gcp", **told["gcp"])
    google.refresh(None)
    jwt.decode(google.token, told["robot"], ["RS256"])
    claims = jwt.decode(google.token, options={"verify_signature": False})
    assert abs(claims["iat"] - time.time()) < 30
    header = jwt.get_unverified_header(google.token)
    found = {"google": [header, {**claims, "iat": 0, "exp": claims["exp"] - claims["iat"]}]}
    found["google valid"] = google.valid

    def session(name, module, label, which):
        pc = made(f"aws.{module}", name, label, **told[which])
        s3 = pc.get_session().resource("s3", endpoint_url=told["url"], verify=told["ca"])
        return [[bucket.name for bucket in s3.buckets.all()], identity(pc.get_session(), told)]

    found["anywhere"] = session("AWSCredentials", "awscredentials", "aws", "anywhere")
    found["role"] = session("AWSHMACCredentials", "awshmaccredentials", "hmac", "role")
    found["user"] = session("AWSHMACCredentials", "awshmaccredentials", "hmac", "user")

    azure = made("azure.azurecredentials", "AzureCredentials", "azure", **told["azure"])
    try:
        token = azure.get_token("https://storage.azure.com/.default")
    except Exception as error:
        return {**found, "azure": str(error), "forms": FORMS}
    claims = jwt.decode(token.token, options={"verify_signature": False})
    found["azure"] = {name: claims.get(name) for name in ("aud", "tid", "appid", "azp", "iss", "sub", "oid", "roles")}
    found["azure life"] = 3500 < token.expires_on - time.time() <= 86400
    return found


def main():
    which, package, path = sys.argv[1:]
    with open(path) as file:
        told = json.load(file)
    for name, value in told["env"].items():
        os.environ[name] = value
    if which == "old":
        other = {"cloud_auth_pkcs": "cloud_auth_tpm", "cloud_auth_tpm": "cloud_auth_pkcs"}[package]
        assert not importlib.util.find_spec(other), f"{other} is in {package}'s environment"
        lead(told["http"])
    print(json.dumps(results(package, told)))


if __name__ == "__main__":
    main()
