"""What the credentials' options say, as a profile and a key URI."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from ._client import Client
from ._key import Key
from ._native import gate

#: The name of the only profile of a text.
PROFILE = "credential"

_PKCS11 = ("module", "token", "label", "pin")
_TPM = (
    "tcti", "keyfile", "ownerpassword", "password", "policy_impl", "enc_key_name", "use_ek_cert",
    "path", "profile", "system_dir", "profile_dir", "user_dir",
)  # fmt: skip

_SECRET = ("pin", "password", "ownerpassword")
_PATHS = ("module", "keyfile", "system_dir", "profile_dir", "user_dir")

# Where tpm2-tss keeps keys unless its configuration says otherwise.
_FAPI = {
    "profile": ("fapi-profile", "P_RSA2048SHA256"),
    "system_dir": ("fapi-system-dir", "~/.local/share/tpm2-tss/system/keystore"),
    "user_dir": ("fapi-user-dir", "~/.local/share/tpm2-tss/user/keystore/"),
}


class Secret:
    """A secret among options, which a traceback does not show that shows the locals of its frames."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __bool__(self) -> bool:
        return self._value not in (None, "")

    def octets(self, name: str) -> bytes:
        """What it is. No local of a frame that is left by an exception has it."""
        if not isinstance(self._value, str):
            raise TypeError(f"{name}: expected a str, not {type(self._value).__name__}")
        try:
            return self._value.encode()
        except UnicodeEncodeError:
            wrong = ValueError(f"{name}: it is no text of Unicode")
        raise wrong


class Secrets:
    """Secrets that are handed to the library by descriptors, never by a file, a variable or an argument.

    A descriptor is read once, by the client that was made with it.
    """

    def __init__(self) -> None:
        self._descriptors: list[int] = []

    def source(self, name: str, secret: Secret) -> str:
        """Where the library finds it: ``fd:N``."""
        # What a pipe holds before somebody reads; no password of a TPM is longer than 64 octets.
        if len(secret.octets(name)) >= 4096:
            raise ValueError(f"{name}: it has 4096 octets or more")
        # In the child of a fork the writer would stay open, and who reads would wait for its end.
        with gate.lock:
            reader, writer = os.pipe()
            self._descriptors.append(reader)
            try:
                # One line end is left out by who reads.
                os.write(writer, secret.octets(name) + b"\n")
            finally:
                os.close(writer)
        return f"fd:{reader}"

    def close(self) -> None:
        """Closes what was opened."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def __del__(self) -> None:
        self.close()


def _attribute(name: str, value: str) -> str:
    return f"{name}={quote(value, safe='/:,')}"


def _path(value: str) -> str:
    return quote(os.path.expanduser(value), safe="/")


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected a str, not {type(value).__name__}")
    return value


def path(name: str, value: str | bytes | os.PathLike[Any] | None) -> str | None:
    """A path as a text."""
    if value is None or value == "":
        return None
    try:
        found = os.fsdecode(os.fspath(value))
        found.encode()
        if found.lstrip().startswith("-----BEGIN"):
            found = value = ""
            raise ValueError(f"{name}: expected a path, not what stands in the file")
    except TypeError:
        raise TypeError(f"{name}: expected a path, not {type(value).__name__}") from None
    except UnicodeEncodeError:
        raise ValueError(f"{name}: expected a path in UTF-8") from None
    return found


def flag(name: str, value: object) -> bool:
    """A boolean; the text "False" is none."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected True or False, not {value!r}")
    return value


def one_of(first: str, a: Any, second: str, b: Any) -> Any:
    """An option that has two names."""
    if a and b and a != b:
        raise ValueError(f"{first} and {second} are the same option, and differ")
    return a or b


def required(**options: object) -> None:
    """Refuses options that are neither given nor empty."""
    missing = [name for name, value in options.items() if value is None or value == ""]
    if missing:
        raise ValueError(f"{', '.join(missing)} must be given")


# The PIN in the query of a URI of RFC 7512.
_PIN = re.compile(r"(?<=[?&])pin-value=([^&]+)")


def _without_pin(key: Secret) -> tuple[str, Secret | None, str]:
    """A URI, and the PIN that is written in it, which goes by a descriptor as those of options do."""
    parts = _PIN.split(key.octets("key").decode(), 1)
    if len(parts) == 1:
        return parts[0], None, ""
    return parts[0], Secret(unquote(parts[1], errors="surrogateescape")), parts[2]


def hide(options: dict[str, Any]) -> None:
    """Puts the secrets among options where a traceback does not show them."""
    for name in _SECRET:
        if name in options and not isinstance(options[name], Secret):
            options[name] = Secret(options[name])


class KeyOptions:
    """Which key: by its URI, or by the options of a PKCS#11 token or a TPM.

    The secrets among the options are taken out of the caller's, whose frame a traceback may show.
    """

    def __init__(self, key: str | Secret | None, options: dict[str, Any], kind: str = "private") -> None:
        if not isinstance(key, Secret):
            key = Secret(key)
        hide(options)
        # The old packages print with it, also what nobody should see.
        if options.get("debug") in (None, False):
            options.pop("debug", None)
        unknown = sorted(set(options) - set(_PKCS11) - set(_TPM))
        if unknown == ["debug"]:
            raise TypeError("debug: nothing is printed here; leave it out, and see the exceptions' texts")
        if unknown:
            raise TypeError(f"unknown option {', '.join(unknown)}")
        given = {name: value for name, value in options.items() if value not in (None, "", False)}
        given = {name: value for name, value in given.items() if name not in _SECRET or value}
        of_token, of_tpm = [name for name in _PKCS11 if name in given], [name for name in _TPM if name in given]
        # profile_dir and the like have no key of their own.
        if sum([bool(key), bool(of_token), bool(of_tpm)]) != 1:
            raise ValueError(
                "give one of key='pkcs11:…', 'tpm:…' or 'file:…'; module, token and label; keyfile or path"
            )
        for name, value in given.items():
            if name in _PATHS:
                given[name] = path(name, value)
            elif name not in ("policy_impl", "use_ek_cert", *_SECRET):
                _text(name, value)
        self._key, self._given, self._kind = _without_pin(key) if key else None, given, kind
        self._of_token = bool(of_token)
        with_nothing = Secrets()
        try:
            # What is wrong is told now.
            self.uri(with_nothing)
        finally:
            with_nothing.close()

    def uri(self, secrets: Secrets) -> str:
        """The URI, whose passwords are in descriptors of their own each time."""
        if self._key is not None:
            before, pin, after = self._key
            return before + (f"pin-source={secrets.source('pin-value', pin)}" if pin else "") + after
        return self._pkcs11(secrets) if self._of_token else self._tpm(secrets)

    def open(self) -> Key:
        """The key itself."""
        secrets = Secrets()
        try:
            key = Key(self.uri(secrets))
        except BaseException:
            secrets.close()
            raise
        key._kept = secrets
        return key

    def _pkcs11(self, secrets: Secrets) -> str:
        given = self._given
        required(module=given.get("module"), token=given.get("token"), label=given.get("label"))
        uri = ";".join(
            [_attribute("pkcs11:token", given["token"]), _attribute("object", given["label"]), f"type={self._kind}"]
        )
        uri += "?" + _attribute("module-path", given["module"])
        return uri + (f"&pin-source={secrets.source('pin', given['pin'])}" if "pin" in given else "")

    def _tpm(self, secrets: Secrets) -> str:
        given = self._given
        if ("keyfile" in given) == ("path" in given):
            raise ValueError("a key in a TPM is named by one of keyfile (a TSS2 PRIVATE KEY file) and path (of FAPI)")
        of_ek = flag("use_ek_cert", given.get("use_ek_cert", False))
        attributes = []
        if "path" in given:
            if of_ek:
                raise ValueError("use_ek_cert goes with keyfile: keys of FAPI are under its storage root key")
            where = f"tpm:fapi={quote(given['path'], safe='/')}"
            for option, (name, default) in _FAPI.items():
                value = given.get(option, default)
                attributes.append(_attribute(name, value) if option == "profile" else f"{name}={_path(value)}")
        else:
            where = f"tpm:file={_path(given['keyfile'])}"
            if of_ek:
                attributes.append("parent=ek")
            for option in [*_FAPI, "profile_dir"]:
                if option in given:
                    raise ValueError(f"{option} goes with path, which names a key of FAPI")
        if "tcti" in given:
            attributes.append(_attribute("tcti", given["tcti"]))
        if "enc_key_name" in given:
            attributes.append(_attribute("ek-name", given["enc_key_name"]))
        for option, name in (("password", "auth-source"), ("ownerpassword", "owner-auth-source")):
            if option in given:
                attributes.append(f"{name}={secrets.source(option, given[option])}")
        if "policy_impl" in given:
            attributes.append(_attribute("pcrs", _pcrs(given["policy_impl"])))
        return where + ("?" + "&".join(attributes) if attributes else "")


def _pcrs(policy: Any) -> str:
    """The PCRs of a policy object of cloud_auth_tpm's, or a text such as ``sha256:0,7``."""
    if isinstance(policy, str):
        return policy
    told = getattr(policy, "_policy", None)
    steps = told.get("policy") if isinstance(told, Mapping) else None
    steps = [step if isinstance(step, Mapping) else {} for step in steps] if isinstance(steps, list) else []
    kinds = [str(step.get("type", "")).upper() for step in steps]
    pcrs = steps[0].get("pcrs") if kinds in (["POLICYPCR"], ["POLICYPCR", "POLICYAUTHVALUE"]) else None
    if not pcrs:
        found = f" with {', '.join(kinds)}" if any(kinds) else ""
        raise TypeError(
            f"policy_impl: {type(policy).__name__}{found} is not supported, and no policy_callback is called: give PCRs "
            "such as 'sha256:0,7', or a PCRPolicy or PCRAuthValuePolicy that names PCRs with their values; a key "
            "with another policy must be made or imported anew, with a policy of PCRs or with a password (tpm2_import, "
            "cloudauth key import); a key file that names its policy needs no policy_impl"
        )
    banks: dict[str, list[int]] = {}
    for entry in pcrs:
        bank = str(entry.get("hashAlg", "sha256")).lower().removeprefix("tpm2_alg_")
        banks.setdefault(bank, []).append(int(entry["pcr"]))
    return "+".join(f"{bank}:{','.join(map(str, sorted(pcrs)))}" for bank, pcrs in banks.items())


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        # A string of JSON is one of TOML, but for this character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return f"[{', '.join(map(_toml, value))}]"
    raise TypeError(f"expected a str, not {type(value).__name__}")


def _line(name: str, value: object) -> str:
    try:
        return f"{name.replace('_', '-')} = {_toml(value)}"
    except TypeError as e:
        raise TypeError(f"{name}: {e}") from None


def client(kind: str, key: KeyOptions, profile: Mapping[str, object], **top: object) -> Client:
    """The client of one profile; what is None or empty is left out."""
    secrets = Secrets()
    try:
        lines = [_line(name, value) for name, value in top.items() if value not in (None, "")]
        lines += [f"[profiles.{PROFILE}]", _line("kind", kind), _line("key", key.uri(secrets))]
        lines += [_line(name, value) for name, value in profile.items() if value not in (None, "", [])]
        made = Client(text="\n".join(lines))
    except BaseException:
        secrets.close()
        raise
    made._kept = secrets
    return made


def scope_list(scopes: str | Sequence[str] | None) -> list[str]:
    """Scopes that are given one by one, or in one text with spaces."""
    if isinstance(scopes, bytes):
        raise TypeError("scopes: expected a str or a list of them, not bytes")
    if scopes is not None and not isinstance(scopes, (str, Sequence)):
        raise TypeError(f"scopes: expected a str or a list of them, not {type(scopes).__name__}")
    return scopes.split() if isinstance(scopes, str) else list(scopes or ())


def seconds(name: str, value: object) -> int:
    """A number of seconds; that of a text is taken too, as the old packages' programs pass them on."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError(f"{name}: expected a number of seconds")
    try:
        number = int(value)
    except ValueError:
        raise ValueError(f"{name}: expected a number of seconds") from None
    if number <= 0:
        raise ValueError(f"{name}: expected more than 0 seconds")
    return number
