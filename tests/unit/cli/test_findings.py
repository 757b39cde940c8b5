"""What `headwater doctor` finds in TLS files and at the database: every branch against the real thing."""

from __future__ import annotations

import asyncio
import datetime
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg  # type: ignore[import-untyped]
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from headwater.cli.findings import database, tls
from tests.unit.cli.test_commands import run
from tests.unit.control.postgres import Postgres, running_postgres

TODAY = datetime.datetime.now(datetime.UTC)


def write_key(path: Path, encryption: KeySerializationEncryption) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return key


def write_certificate(path: Path, key: ec.EllipticCurvePrivateKey, *, begins: int = -10, days: int = 90) -> None:
    """A certificate that is valid from `begins` to `days` days from today."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(TODAY + datetime.timedelta(days=begins))
    made = builder.not_valid_after(TODAY + datetime.timedelta(days=days)).sign(key, SHA256())
    path.write_bytes(made.public_bytes(Encoding.PEM))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate and its key, with which all is well."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_certificate(certificate, write_key(key, NoEncryption()))
    return certificate, key


class TestTls:
    def test_a_good_pair(self, pair: tuple[Path, Path]) -> None:
        found = tls(*pair)
        assert (found.status, found.advice) == ("ok", "")

    @pytest.mark.parametrize(
        ("begins", "days", "status", "said"),
        [
            (-10, 3, "warning", "is valid until"),
            (-10, -1, "problem", "expired on"),
            (5, 90, "problem", "is valid from"),
        ],
    )
    def test_the_time_of_validity(self, tmp_path: Path, begins: int, days: int, status: str, said: str) -> None:
        certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        write_certificate(certificate, write_key(key, NoEncryption()), begins=begins, days=days)
        found = tls(certificate, key)
        assert found.status == status
        assert said in found.detail and found.advice

    def test_a_key_that_does_not_match(self, pair: tuple[Path, Path]) -> None:
        write_key(pair[1], NoEncryption())
        found = tls(*pair)
        assert found.status == "problem"
        assert "does not belong to the certificate" in found.detail

    def test_an_encrypted_key(self, pair: tuple[Path, Path]) -> None:
        write_certificate(pair[0], write_key(pair[1], BestAvailableEncryption(b"secret")))
        found = tls(*pair)
        assert (found.status, found.detail) == ("problem", f"{pair[1]} is encrypted")

    @pytest.mark.parametrize("which", [0, 1])
    def test_a_missing_file_is_named(self, pair: tuple[Path, Path], which: int) -> None:
        pair[which].unlink()
        found = tls(*pair)
        assert found.status == "problem"
        assert found.detail == f"{pair[which]} cannot be read: No such file or directory"

    @pytest.mark.parametrize("which", [0, 1])
    def test_a_file_that_is_no_pem(self, pair: tuple[Path, Path], which: int) -> None:
        pair[which].write_bytes(b"\x30\x82 not PEM")
        found = tls(*pair)
        assert found.status == "problem"
        assert found.detail.startswith(f"{pair[which]} holds no PEM")

    def test_certificate_and_key_exchanged(self, pair: tuple[Path, Path]) -> None:
        found = tls(pair[1], pair[0])
        assert found.detail == f"{pair[1]} holds no PEM certificate"

    def test_the_command_says_it_and_ends_with_3(self, pair: tuple[Path, Path], tmp_path: Path) -> None:
        write_key(pair[1], NoEncryption())
        env = {"HEADWATER_TLS_CERT": str(pair[0]), "HEADWATER_TLS_KEY": str(pair[1]), "HEADWATER_RTMPS": "127.0.0.1:0"}
        done = run("doctor", "--data", str(tmp_path), "--http", "127.0.0.1:0", "--rtmp", "127.0.0.1:0", env=env)
        assert done.returncode == 3
        assert "does not belong to the certificate" in " ".join(done.stdout.split())


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


def with_password(postgres: Postgres) -> str:
    """A URL of the user alice, whose password is asked for: `{}` stands for it."""
    url = postgres.new_database()
    (folder,) = parse_qs(urlsplit(url).query)["host"]
    (Path(folder) / "data" / "pg_hba.conf").write_text("local all hw trust\nlocal all alice scram-sha-256\n")

    async def prepare() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute("DROP ROLE IF EXISTS alice")
            await connection.execute("CREATE ROLE alice LOGIN PASSWORD 'right'")
            await connection.fetchval("SELECT pg_reload_conf()")
        finally:
            await connection.close()

    asyncio.run(prepare())
    return url.replace("hw@", "alice:{}@")


class TestDatabase:
    def test_sqlite_needs_nothing(self) -> None:
        assert database(None).status == database("sqlite:////srv/headwater.db").status == "ok"

    @pytest.mark.parametrize("scheme", ["postgresql", "postgresql+asyncpg"])
    def test_postgresql_answers(self, postgres: Postgres, scheme: str) -> None:
        found = database(postgres.new_database().replace("postgresql", scheme))
        assert (found.status, found.detail) == ("ok", "PostgreSQL answers")

    def test_nobody_listens(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            found = database(f"postgresql://hw:s3cret@127.0.0.1:{taken.getsockname()[1]}/headwater")
        assert found.status == "problem"
        assert "cannot be reached" in found.detail and "start PostgreSQL" in found.advice
        assert "s3cret" not in found.detail + found.advice

    def test_a_database_that_is_not_there(self, postgres: Postgres) -> None:
        found = database(postgres.url("nowhere"))
        assert found.status == "problem"
        assert '"nowhere" does not exist' in found.detail and "createdb" in found.advice

    def test_a_wrong_password(self, postgres: Postgres) -> None:
        url = with_password(postgres)
        assert database(url.format("right")).status == "ok"
        found = database(url.format("wr0ng"))
        assert found.status == "problem"
        assert "refuses the login" in found.detail and "password" in found.advice
        assert "wr0ng" not in found.detail + found.advice

    def test_the_command_says_it_and_ends_with_3(self, postgres: Postgres, tmp_path: Path) -> None:
        env = {"HEADWATER_DATABASE_URL": postgres.url("nowhere")}
        done = run("doctor", "--data", str(tmp_path), "--http", "127.0.0.1:0", "--rtmp", "127.0.0.1:0", env=env)
        assert done.returncode == 3
        assert '"nowhere" does not exist' in " ".join(done.stdout.split())
