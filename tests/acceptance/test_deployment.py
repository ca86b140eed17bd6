"""What operators put up: the bento, the container, the unit, the proxy and the settings are what the service needs."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import httpx
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from features.dataset import read_dataset
from models.bundle import Bundle
from serving.desk import Desk
from serving.extract import request_of
from serving.scoring import Scorer
from serving.settings import PREFIX, Settings
from tests.front import front
from tests.server import TOKENS, RunningService, running_service

ROOT = Path(__file__).parent.parent.parent
OPS = ROOT / "ops"
# What the three packages that are served import from elsewhere, as distributions.
DIRECT = (
    *("bentoml", "click", "httptools", "itsdangerous", "jinja2", "lightgbm", "llvmlite", "msgspec", "numba", "numpy"),
    *("pandas", "prometheus-client", "psycopg[binary]", "pyarrow", "pydantic", "python-multipart", "pyyaml", "rich"),
    *("sqlalchemy", "threadpoolctl", "uvloop"),
)


def test_the_requirements_of_the_service_are_what_it_needs_at_the_pinned_versions() -> None:
    listed = set(_lines(OPS / "container" / "requirements.txt"))
    needed = _closure(DIRECT)
    assert {canonicalize_name(line.split("==")[0]) for line in listed} == needed
    assert listed <= set(_lines(ROOT / "constraints.txt"))
    assert not needed & {"mlflow", "mlflow-skinny", "shap", "scikit-learn", "interpret-core", "matplotlib"}


def test_the_settings_are_all_in_the_example_and_the_defaults_are_true() -> None:
    written = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))
    settings = {PREFIX + each.name.upper(): each.default for each in dataclasses.fields(Settings)}
    besides = {"TOKENS", "TOKENS_FILE", "SESSION_KEY", "BUNDLE", "BUNDLE_KEY", "LOG"}
    assert {name for name in written if name.startswith(PREFIX)} == {*settings, *(PREFIX + name for name in besides)}
    commented = dict(re.findall(r"^#([A-Z_]+)=(.+)$", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))
    for name, default in settings.items():
        if name in commented and not isinstance(default, str):
            assert float(commented[name]) == float(default), name


def test_the_container_installs_every_package_of_the_project() -> None:
    container = (OPS / "container" / "Containerfile").read_text("utf-8")
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    packages = re.findall(
        r'^  "([a-z]+)(?:\.[a-z_.]+)?",$', project.split("packages = [")[1].split("]")[0], re.MULTILINE
    )
    for package in set(packages):
        assert f"COPY {package} {package}\n" in container
    assert "USER povrisk" in container and "STOPSIGNAL SIGTERM" in container


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = (OPS / "systemd" / "povrisk.service").read_text("utf-8")
    here = tmp_path / "povrisk.service"
    here.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", unit, flags=re.MULTILINE), "utf-8")
    said = subprocess.run(["systemd-analyze", "verify", str(here)], capture_output=True, text=True, check=False)
    assert "povrisk.service" not in said.stderr, said.stderr


@pytest.fixture(scope="module")
def bento(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bento that `bentoml build` makes of a copy of the project with a bundle in it; its source folder."""
    project, home = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("bentoml")
    for name in ("features", "models", "serving", "ops"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("bentofile.yaml", "README.md"):
        shutil.copy(ROOT / name, project / name)
    shutil.copytree(tiny_bundle, project / "bundle")
    subprocess.run(
        [sys.executable, "-m", "bentoml", "build"],
        cwd=project,
        env={**_plain(), "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"},
        check=True,
        capture_output=True,
        timeout=120,
    )
    return next(path for path in (home / "bentos" / "povrisk").iterdir() if path.is_dir())


def test_the_bento_describes_the_service_in_plain_yaml(bento: Path) -> None:
    described = yaml.safe_load((bento / "apis" / "openapi.yaml").read_text("utf-8"))
    assert "/score" in described["paths"] and "/queue" in described["paths"]
    assert (bento / "src" / "bundle" / "manifest.json").is_file()
    assert not list((bento / "src").rglob("test_*.py"))


def test_the_bento_serves_the_same_bytes(bento: Path, opened_bundle: Bundle, tiny_county: Path, tmp_path: Path) -> None:
    county = read_dataset(tiny_county)
    until = county.meta.moments.until
    bodies = [request_of(county, name, until) for name in county.households["household_id"].head(5)]
    headers = {"Authorization": f"Bearer {TOKENS['platform']}", "X-Purpose": "prepare_visit"}
    with front(Desk(Scorer(opened_bundle, Settings()), None, Settings())) as ours:
        expected = [ours.post("/score", json=body, headers=headers).content for body in bodies]
    with _served(bento, tmp_path) as url:
        found = [httpx.post(f"{url}/score", json=body, headers=headers, timeout=60).content for body in bodies]
    assert found == expected


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed here")
def test_the_proxy_lets_calls_through_and_cuts_headers_that_do_not_come(tiny_bundle: Path, tmp_path: Path) -> None:
    with running_service(tiny_bundle, tmp_path) as service, _proxy(service, tmp_path) as port:
        trusted = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        reply = httpx.get(f"https://localhost:{port}/model", headers=service.headers(), verify=trusted, timeout=10)
        assert reply.status_code == 200
        assert httpx.get(f"https://localhost:{port}/model", verify=trusted, timeout=10).status_code == 401
        assert httpx.get(f"https://localhost:{port}/metrics", verify=trusted, timeout=10).status_code == 403
        started = time.monotonic()
        with trusted.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost") as slow:
            slow.settimeout(20)
            slow.sendall(b"GET /model HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            ended = slow.recv(1024)
        assert time.monotonic() - started < 9
        assert ended == b"" or b" 408 " in ended
    log = (tmp_path / "povrisk.log").read_text("utf-8")
    assert "/model" not in log and " 200 " in log


@contextmanager
def _served(bento: Path, scratch: Path) -> Iterator[str]:
    """`bentoml serve` of a bento on a free loopback port, as somebody who knows BentoML and not us would start it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tokens = ",".join(f"{role}:{token}" for role, token in TOKENS.items())
    environment = {
        **_plain(),
        "POVRISK_TOKENS": tokens,
        "BENTOML_HOME": str(scratch / "home"),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    with (scratch / "bento.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bentoml", "serve", str(bento), "--host", "127.0.0.1", "--port", str(port)],
            cwd=scratch,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(240):
            try:
                if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                    break
            except httpx.HTTPError:
                assert process.poll() is None, (scratch / "bento.log").read_text()
            time.sleep(0.25)
        yield url
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _proxy(service: RunningService, scratch: Path) -> Iterator[int]:
    """nginx with our file, a certificate of its own and ports of this test."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=scratch,
        check=True,
        capture_output=True,
    )
    ours = (OPS / "nginx" / "povrisk.conf").read_text("utf-8")
    ours = ours[: ours.index("\nserver {\n    listen 80;")]
    for pattern, here in (
        (r"127\.0\.0\.1:3000", service.url.removeprefix("http://")),
        (r"listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        (r"povrisk\.example\.gov", "localhost"),
        (r"/etc/ssl/povrisk/fullchain", f"{scratch}/cert"),
        (r"/etc/ssl/povrisk/privkey", f"{scratch}/key"),
        (r"/var/log/nginx", str(scratch)),
    ):
        ours, found = re.subn(pattern, here, ours)
        assert found, pattern
    own = "".join(
        f"{kind}_temp_path {scratch}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (scratch / "nginx.conf").write_text(
        f"daemon off;\npid {scratch}/nginx.pid;\nevents {{}}\nhttp {{\n{own}{ours}\n}}\n", "utf-8"
    )
    command = ["nginx", "-p", str(scratch), "-c", str(scratch / "nginx.conf"), "-e", str(scratch / "nginx.error")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        for _ in range(50):
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _plain() -> dict[str, str]:
    """The environment without settings of ours and without the checkout in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "PYTHONPATH", "BENTO"))}


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]


def _closure(direct: tuple[str, ...]) -> set[str]:
    """The names of distributions and of all that they need here."""
    todo, seen = [Requirement(each) for each in direct], set[tuple[str, tuple[str, ...]]]()
    while todo:
        each = todo.pop()
        key = (canonicalize_name(each.name), tuple(sorted(each.extras)))
        if key in seen:
            continue
        seen.add(key)
        for written in metadata.distribution(each.name).requires or ():
            needs = Requirement(written)
            if needs.marker is None or any(needs.marker.evaluate({"extra": e}) for e in (each.extras or {""})):
                todo.append(needs)
    return {name for name, _ in seen}
