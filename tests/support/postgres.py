"""A PostgreSQL server of its own: a cluster in a folder below /tmp, reached by a Unix socket there, or by TLS. PostgreSQL does not run as
root, so root becomes the user `postgres`, which Debian's package makes."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from support.tls import Certificate
from support.upstreams import closed_port

PASSWORD = "secret"


class Postgres:
    def __init__(self, durable: bool = False, certificate: Certificate | None = None) -> None:
        """`durable`: it waits for the disk, as outside of tests. With a certificate it listens on 127.0.0.1 too, for TLS only."""
        self.port = closed_port() if certificate else 5432  # a part of the socket's name
        self._options = ["-p", str(self.port), *([] if durable else ["-F"])]
        # Below /tmp: the path of a socket must be short, and `postgres` must be able to enter.
        self._folder = Path(tempfile.mkdtemp(prefix="heddle-pg-", dir="/tmp"))
        (self._folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres")
            shutil.chown(self._folder / "password", "postgres")
        self._run("initdb", "-D", f"{self._folder}/data", "-U", "admin", "--auth=scram-sha-256", f"--pwfile={self._folder}/password",
                  "--encoding=UTF8", "--no-sync", "--no-instructions")
        for name, value in (("unix_socket_directories", self._folder), ("listen_addresses", "127.0.0.1" if certificate else "")):
            self._options += ["-c", f"{name}={value}"]
        if certificate:
            self._options += ["-c", "ssl=on"]
            for source, name in ((certificate.cert, "server.crt"), (certificate.key, "server.key")):
                target = self._folder / "data" / name
                shutil.copy(source, target)
                target.chmod(0o600)
                if os.geteuid() == 0:
                    shutil.chown(target, "postgres")
            (self._folder / "data" / "pg_hba.conf").write_text("local all all scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://admin:{PASSWORD}@/postgres?host={self._folder}&port={self.port}"

    def tls_url(self, host: str, authority: Path) -> str:
        """Of a client that wants the server to be `host`, by a certificate of the authority."""
        return f"postgresql://admin:{PASSWORD}@{host}:{self.port}/postgres?sslmode=verify-full&sslrootcert={authority}"

    def start(self) -> None:
        self._run("pg_ctl", "-D", f"{self._folder}/data", "-l", f"{self._folder}/log", "-w", "-o", shlex.join(self._options), "start")

    def stop(self) -> None:
        """As a crash would: connections break."""
        self._run("pg_ctl", "-D", f"{self._folder}/data", "-m", "immediate", "-w", "stop")

    def freeze(self) -> None:
        """It answers nobody, and breaks no connection."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        postmaster = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for process in [postmaster, *map(int, children)]:
            os.kill(process, number)

    def sql(self, statement: str) -> str:
        """As the superuser; the rows as text."""
        return self._run("psql", "-XAtq", self.url, "-c", statement).strip()

    def remove(self) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> str:
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        assert folders, "PostgreSQL is missing: run scripts/setup"
        become = ["setpriv", "--reuid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        # pg_ctl's server keeps what it inherits: a file, so that nobody waits for the end of a pipe.
        output = self._folder / "out"
        with output.open("a+") as out:
            out.truncate(0)
            done = subprocess.run([*become, str(folders[-1] / program), *arguments], cwd=self._folder, stdin=subprocess.DEVNULL,
                                  stdout=out, stderr=out, timeout=120, check=False)
        text = output.read_text()
        assert done.returncode == 0, f"{program}: {text}"
        return text
