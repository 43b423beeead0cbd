"""Where the access key comes from, and the signature made with it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from musicfs.config.settings import OriginSettings
from musicfs.errors import ConfigError, DeniedError
from musicfs.origins.http_pool import Endpoint, parse_endpoint
from musicfs.origins.s3_access import AccessSource, bucket_endpoint, find_access
from musicfs.origins.s3_signing import Credentials, encode_path, encode_query, sign

SECRET = "not-to-be-seen-anywhere"


def settings(**keys: str) -> OriginSettings:
    return OriginSettings(id="bucket", origin_type="s3", bucket="music", **keys)  # type: ignore[arg-type]  # texts only


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(
        "[default]\nregion = eu-west-1\n"
        "[profile nas]\nregion = home\nendpoint_url = http://nas:9000\ns3 =\n  addressing_style = path\n"
        "[profile sso]\nsso_session = me\n"
    )
    (tmp_path / ".aws" / "credentials").write_text(
        f"[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = {SECRET}\n"
        f"[nas]\naws_access_key_id = NAS\naws_secret_access_key = {SECRET}\naws_session_token = token\n"
    )
    return tmp_path


def key_of(keys: OriginSettings, environment: dict[str, str]) -> str:
    credentials = find_access(keys, environment).credentials
    return credentials.access_key_id if credentials is not None else ""


def test_the_first_source_that_has_a_key_wins(home: Path) -> None:
    environment = {"HOME": str(home)}
    assert key_of(settings(), environment) == "DEFAULT"
    environment["AWS_PROFILE"] = "nas"
    assert key_of(settings(), environment) == "NAS"
    environment |= {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": SECRET, "OWN": "OWN", "OWN2": SECRET}
    assert key_of(settings(), environment) == "ENV"
    assert key_of(settings(profile="nas"), environment) == "NAS"
    assert key_of(settings(access_key_id="env:OWN", secret_access_key="env:OWN2"), environment) == "OWN"


def test_without_any_key_requests_are_not_signed(tmp_path: Path) -> None:
    assert find_access(settings(), {"HOME": str(tmp_path)}).credentials is None


def test_region_and_endpoint(home: Path) -> None:
    environment = {"HOME": str(home)}
    access = find_access(settings(), environment)
    assert (access.region, str(access.endpoint)) == ("eu-west-1", "https://music.s3.eu-west-1.amazonaws.com")
    access = find_access(settings(profile="nas"), environment)
    assert (access.region, str(access.endpoint)) == ("home", "http://nas:9000/music")
    assert find_access(settings(region="mine"), environment).region == "mine"
    environment |= {"AWS_REGION": "r", "AWS_ENDPOINT_URL": "http://other"}
    assert find_access(settings(), environment).region == "r"
    assert str(find_access(settings(endpoint="https://own:1/x/"), environment).endpoint) == "https://own:1/x/music"
    assert str(find_access(settings(), environment).endpoint) == "http://other/music"


@pytest.mark.parametrize(
    ("endpoint", "bucket", "expected"),
    [
        ("http://127.0.0.1:9000", "music", "http://127.0.0.1:9000/music"),
        ("https://music.store.lan", "music", "https://music.store.lan"),
        ("http://[::1]:9000", "music", "http://[::1]:9000/music"),
        ("", "with.dots", "https://s3.us-east-1.amazonaws.com/with.dots"),
        ("", "music", "https://music.s3.us-east-1.amazonaws.com"),
    ],
)
def test_where_the_bucket_is(endpoint: str, bucket: str, expected: str) -> None:
    parsed = parse_endpoint(endpoint, "endpoint") if endpoint else None
    assert str(bucket_endpoint(parsed, bucket, "us-east-1")) == expected


@pytest.mark.parametrize(
    "url", ["nas:9000", "ftp://nas", "http://", "http://nas:port", "http://nas/?x", f"http://u:{SECRET}@nas"]
)
def test_an_endpoint_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_endpoint(url, "endpoint")
    assert SECRET not in str(raised.value)


def test_an_authority_leaves_out_the_usual_port() -> None:
    assert Endpoint(secure=True, host="a", port=443).authority == "a"
    assert Endpoint(secure=False, host="a", port=443).authority == "a:443"


def test_a_program_gives_the_key(tmp_path: Path) -> None:
    output = {"Version": 1, "AccessKeyId": "PROGRAM", "SecretAccessKey": SECRET, "Expiration": "2020-01-01T00:00:00Z"}
    (tmp_path / "output").write_text(json.dumps(output))
    (tmp_path / "config").write_text(f"[default]\ncredential_process = cat {tmp_path}/output\n")
    source = AccessSource(settings(), {"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "config")})
    assert source.get().credentials == Credentials("PROGRAM", SECRET, "", 1577836800.0)
    (tmp_path / "output").write_text(json.dumps({**output, "AccessKeyId": "NEXT"}))
    credentials = source.get().credentials
    assert credentials is not None
    assert credentials.access_key_id == "NEXT"  # the first had expired


def test_what_is_wrong_is_said_without_secrets(tmp_path: Path, home: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.write_text(f"{SECRET}\n[x")
    spaced = tmp_path / "spaced"
    spaced.write_text(f"[default]\naws_access_key_id = A\naws_secret_access_key = {SECRET} \\n x\n")
    failing = tmp_path / "failing"
    failing.write_text(f"[default]\ncredential_process = sh -c 'echo {SECRET}; exit 1'\n")
    no_json = tmp_path / "no_json"
    no_json.write_text(f"[default]\ncredential_process = echo {SECRET}\n")
    empty = str(tmp_path / "empty")
    cases: list[tuple[str, OriginSettings, dict[str, str]]] = [
        ("no AWS profile 'none'", settings(profile="none"), {}),
        ("no access key of its own", settings(profile="sso"), {}),
        ("not written as the AWS tools", settings(), {"AWS_CONFIG_FILE": str(damaged)}),
        ("characters in it that no key has", settings(), {"AWS_SHARED_CREDENTIALS_FILE": str(spaced)}),
        ("gave no access key", settings(), {"AWS_CONFIG_FILE": str(failing), "AWS_SHARED_CREDENTIALS_FILE": empty}),
        ("gave no access key", settings(), {"AWS_CONFIG_FILE": str(no_json), "AWS_SHARED_CREDENTIALS_FILE": empty}),
        ("not complete", settings(), {"AWS_SECRET_ACCESS_KEY": SECRET}),
        ("not complete", settings(secret_access_key="env:OWN"), {"OWN": SECRET}),
        ("OTHER is not set", settings(access_key_id="env:OTHER", secret_access_key="env:OWN"), {"OWN": SECRET}),
        ("AWS_ENDPOINT_URL = 'nas' is not the URL", settings(), {"AWS_ENDPOINT_URL": "nas"}),
    ]
    for words, keys, environment in cases:
        with pytest.raises(DeniedError, match=words) as raised:
            AccessSource(keys, {"HOME": str(home), **environment}).get()
        assert SECRET not in f"{raised.value} {raised.value.remedy} {raised.value.__cause__!r}"
        assert "'bucket'" in str(raised.value)


def test_credentials_show_nothing() -> None:
    credentials = Credentials("AKID", SECRET, SECRET)
    assert SECRET not in f"{credentials} {credentials!r} {[credentials]}"


# The examples of https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
@pytest.mark.parametrize(
    ("path", "query", "headers", "signature"),
    [
        ("/test.txt", {}, {"range": "bytes=0-9"}, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        ("/", {"lifecycle": ""}, {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("/", {"max-keys": "2", "prefix": "J"}, {}, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_signatures(path: str, query: dict[str, str], headers: dict[str, str], signature: str) -> None:
    credentials = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    signed = sign(
        "GET", "examplebucket.s3.amazonaws.com", encode_path(path), encode_query(query), headers,
        credentials=credentials, region="us-east-1", now=datetime(2013, 5, 24, tzinfo=UTC),
    )  # fmt: skip
    assert signed["authorization"].endswith(f"Signature={signature}")
    assert "host" not in signed


def test_the_environment_is_looked_at_late(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    source = AccessSource(settings(), os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    assert source.get().region == "eu-west-1"
    monkeypatch.setenv("AWS_REGION", "new")
    assert source.get().region == "eu-west-1"
    source.forget()
    assert source.get().region == "new"
