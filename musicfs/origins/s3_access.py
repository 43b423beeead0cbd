"""Where a bucket is and with which key it is opened: settings, environment, and the profiles of the AWS tools.

The key comes from the first of these that has one:

1. ``access_key_id`` and ``secret_access_key`` of the settings, which are references;
2. the settings' ``profile``;
3. ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and ``AWS_SESSION_TOKEN``;
4. the profile that ``AWS_PROFILE`` names, or ``default``, from ``~/.aws/credentials`` and ``~/.aws/config`` (or the files
   that ``AWS_SHARED_CREDENTIALS_FILE`` and ``AWS_CONFIG_FILE`` name): a static key, or a ``credential_process``;
5. none: requests are not signed, which suits a public bucket.

Nothing is asked over the network: a machine's or container's own role (instance metadata), single sign-on and assumed roles
are for ``credential_process = aws configure export-credentials --format process``. Region and endpoint come from the
settings, then ``AWS_REGION`` and ``AWS_DEFAULT_REGION``, ``AWS_ENDPOINT_URL_S3`` and ``AWS_ENDPOINT_URL``, then the profile.
"""

from __future__ import annotations

import configparser
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Mapping
from datetime import datetime

import msgspec

from musicfs.config.secrets import lookup_secret
from musicfs.config.settings import OriginSettings
from musicfs.errors import ConfigError
from musicfs.origins.failures import no_secret
from musicfs.origins.http_pool import Endpoint, parse_endpoint
from musicfs.origins.s3_signing import Credentials

DEFAULT_REGION = "us-east-1"
_EXPIRES_EARLY_S = 60.0
_PROCESS_OUTPUT_MAX = 64 * 1024


class Access(msgspec.Struct, frozen=True):
    """All that a request to the bucket needs to know. Without ``credentials`` it is not signed."""

    endpoint: Endpoint  # its path leads to the bucket
    region: str
    credentials: Credentials | None = None
    ca_file: str = ""


class AccessSource:
    """Finds out the access at its first use, and again when it expires or was forgotten. For many threads."""

    def __init__(self, settings: OriginSettings, environment: Mapping[str, str] = os.environ) -> None:
        self._settings = settings
        self._environment = environment
        self._lock = threading.Lock()
        self._access: Access | None = None

    def get(self) -> Access:
        """The access now. May read files, ask the keyring, or run the profile's program; raises DeniedError."""
        with self._lock:
            access = self._access
            if access is not None and access.credentials is not None:
                expires_at = access.credentials.expires_at
                if expires_at and expires_at - _EXPIRES_EARLY_S < time.time():
                    access = None
            if access is None:
                try:
                    access = find_access(self._settings, self._environment)
                except ConfigError as error:
                    raise no_secret(self._settings.id, error) from None
                self._access = access
            return access

    def forget(self) -> None:
        """The store refused the key: look for another next time."""
        with self._lock:
            self._access = None


def find_access(settings: OriginSettings, environment: Mapping[str, str]) -> Access:
    """The access that ``settings`` and ``environment`` lead to. Raises ConfigError; no secret is part of it."""
    profile = _read_profile(settings.profile, environment)
    region = (
        settings.region
        or environment.get("AWS_REGION")
        or environment.get("AWS_DEFAULT_REGION")
        or profile.get("region")
        or DEFAULT_REGION
    )
    url, key = settings.endpoint, "endpoint"
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if not url:
            url, key = environment.get(name, ""), name
    if not url:
        url, key = profile.get("endpoint_url", ""), "the profile's endpoint_url"
    return Access(
        endpoint=bucket_endpoint(parse_endpoint(url, key) if url else None, settings.bucket, region),
        region=region,
        credentials=_find_credentials(settings, profile, environment),
        ca_file=environment.get("AWS_CA_BUNDLE", ""),
    )


def bucket_endpoint(endpoint: Endpoint | None, bucket: str, region: str) -> Endpoint:
    """Where the bucket's keys begin.

    In an own store (``endpoint``) the bucket is the path's first part, which every store understands, unless the host's name
    begins with the bucket already. At Amazon the bucket is part of the host's name, except one with dots, which no
    certificate would cover (https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html).
    """
    if endpoint is not None:
        if endpoint.host.startswith(f"{bucket}."):
            return endpoint
        return msgspec.structs.replace(endpoint, path=f"{endpoint.path}/{bucket}")
    host = f"s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    if "." in bucket:
        return Endpoint(secure=True, host=host, port=443, path=f"/{bucket}")
    return Endpoint(secure=True, host=f"{bucket}.{host}", port=443)


def _find_credentials(
    settings: OriginSettings, profile: Mapping[str, str], environment: Mapping[str, str]
) -> Credentials | None:
    if settings.access_key_id or settings.secret_access_key:
        access_key_id = lookup_secret(settings.access_key_id, environment).reveal()
        secret_access_key = lookup_secret(settings.secret_access_key, environment).reveal()
        return _checked(Credentials(access_key_id, secret_access_key), "the settings' access key")
    if not settings.profile and (environment.get("AWS_ACCESS_KEY_ID") or environment.get("AWS_SECRET_ACCESS_KEY")):
        found = Credentials(
            environment.get("AWS_ACCESS_KEY_ID", ""),
            environment.get("AWS_SECRET_ACCESS_KEY", ""),
            environment.get("AWS_SESSION_TOKEN", ""),
        )
        return _checked(found, "the access key of the environment")
    if "aws_access_key_id" in profile:
        found = Credentials(
            profile["aws_access_key_id"], profile.get("aws_secret_access_key", ""), profile.get("aws_session_token", "")
        )
        return _checked(found, "the profile's access key")
    if "credential_process" in profile:
        return _checked(_run_process(profile["credential_process"]), "the access key from credential_process")
    if settings.profile or any(name.startswith(("sso_", "role_arn")) for name in profile):
        raise ConfigError(
            "the AWS profile has no access key of its own",
            remedy="give it: credential_process = aws configure export-credentials --format process --profile NAME",
        )
    return None


def _checked(credentials: Credentials, what: str) -> Credentials:
    """What goes into a header holds no spaces or line ends; without this check the error of a library would print it."""
    for text in (credentials.access_key_id, credentials.secret_access_key):
        if not text:
            raise ConfigError(f"{what} is not complete", remedy="it needs both an id and a secret")
    for text in (credentials.access_key_id, credentials.secret_access_key, credentials.session_token):
        if not all("!" <= char <= "~" for char in text):
            raise ConfigError(f"{what} has characters in it that no key has", remedy="look for spaces and quotes")
    return credentials


def _read_profile(wanted: str, environment: Mapping[str, str]) -> Mapping[str, str]:
    name = wanted or environment.get("AWS_PROFILE") or "default"
    home = environment.get("HOME", "~")
    config = environment.get("AWS_CONFIG_FILE") or os.path.join(home, ".aws", "config")
    credentials = environment.get("AWS_SHARED_CREDENTIALS_FILE") or os.path.join(home, ".aws", "credentials")
    in_config = _read_section(config, name if name == "default" else f"profile {name}")
    in_credentials = _read_section(credentials, name)
    if in_config is None and in_credentials is None and name != "default":
        raise ConfigError(f"there is no AWS profile {name!r}", remedy=f"aws configure --profile {name}")
    return {**(in_config or {}), **(in_credentials or {})}


def _read_section(path: str, section: str) -> Mapping[str, str] | None:
    parser = configparser.RawConfigParser(strict=False, default_section="", allow_no_value=True)
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            parser.read_file(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (configparser.Error, UnicodeDecodeError):  # their text shows lines of the file
        raise ConfigError(f"{path} is not written as the AWS tools write it") from None
    if not parser.has_section(section):
        return None
    return {name: (value or "").strip() for name, value in parser.items(section)}


class _ProcessOutput(msgspec.Struct, rename="pascal"):
    """https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html"""

    version: int
    access_key_id: str
    secret_access_key: str
    session_token: str = ""
    expiration: datetime | None = None


def _run_process(command: str, timeout_s: float = 60.0) -> Credentials:
    try:
        done = subprocess.run(
            shlex.split(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=True
        )
        output = msgspec.json.decode(done.stdout[:_PROCESS_OUTPUT_MAX], type=_ProcessOutput)
    except (OSError, ValueError, subprocess.SubprocessError, msgspec.MsgspecError) as error:
        # Its output may hold a key, and its command line too.
        raise ConfigError(
            f"the profile's credential_process gave no access key ({type(error).__name__})",
            remedy="run it by hand to see what it says",
        ) from None
    expires_at = output.expiration.timestamp() if output.expiration is not None else 0.0
    return Credentials(output.access_key_id, output.secret_access_key, output.session_token, expires_at)
