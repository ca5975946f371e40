"""Route plugins as files: manifests embedded and beside the module, folders, archives, and what the command line says of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from support import wat
from support.paths import ROOT

MODULE = """
(module
  (memory (export "memory") 1)
  (data (i32.const 64) "{\\"hello\\":true}")
  (func (export "hello") (param i32 i32) (result i32) i32.const 64))
"""
MANIFEST = {"name": "greeter", "version": "1.2.3", "routes": [{"path": "/hello/{who}", "method": "GET", "handler": "hello"}]}


@pytest.fixture
def module(compile_wat: wat.Compiler, tmp_path: Path) -> Path:
    """A copy, because tests change it."""
    return Path(shutil.copy(compile_wat(MODULE, "greeter"), tmp_path / "module.wasm"))


def write_manifest(folder: Path, manifest: object = MANIFEST, name: str = "manifest.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    return file


def inspected(serve, path: Path) -> dict[str, object]:
    result = serve.run("inspect", "--json", str(path))
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_embed_writes_the_section(serve, module: Path, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "m")
    out = tmp_path / "out.wasm"
    result = serve.run("embed", str(module), str(manifest), "-o", str(out))
    assert (result.returncode, result.stdout) == (0, f"{out}: manifest of greeter 1.2.3, 1 routes\n")
    assert inspected(serve, out)["manifest"] == MANIFEST
    again = serve.run("embed", str(out), str(write_manifest(tmp_path / "n", {**MANIFEST, "version": "2"})))
    assert again.returncode == 0
    assert inspected(serve, out)["manifest"]["version"] == "2"  # in place, and only once
    sections = [section["name"] for section in inspected(serve, out)["custom_sections"]]
    assert sections.count("manifest") == 1


def test_the_guides_script_does_the_same(serve, module: Path, tmp_path: Path) -> None:
    out = tmp_path / "with_manifest.wasm"
    command = [sys.executable, str(ROOT / "tools" / "add_custom_section.py"), str(module), "-s", "manifest", "-o", str(out)]
    subprocess.run(command, input=json.dumps(MANIFEST).encode(), check=True, timeout=60)
    other = tmp_path / "embedded.wasm"
    assert serve.run("embed", str(module), str(write_manifest(tmp_path / "m")), "-o", str(other)).returncode == 0
    assert out.read_bytes() == other.read_bytes()
    refused = subprocess.run([*command[:2], str(write_manifest(tmp_path / "m")), *command[3:]], input=b"{}",
                             capture_output=True, check=False, timeout=60)
    assert refused.returncode == 1 and b"it is not a Wasm module" in refused.stderr


@pytest.mark.parametrize(("manifest", "said"), [
    ("{", "$: is not JSON"),
    ({"name": "x"}, "$.version: is missing"),
    ({**MANIFEST, "routes": [{"path": "x", "method": "GET", "handler": "h"}]}, '$.routes[0].path: "x": it does not begin with /'),
])
def test_embed_refuses_a_wrong_manifest(serve, module: Path, tmp_path: Path, manifest: object, said: str) -> None:
    before = module.read_bytes()
    result = serve.run("embed", str(module), str(write_manifest(tmp_path / "m", manifest)))
    assert result.returncode == 1 and said in result.stderr
    assert module.read_bytes() == before


def test_inspect_knows_every_kind_of_package(serve, module: Path, tmp_path: Path) -> None:
    folder = tmp_path / "greeter"
    write_manifest(folder, {**MANIFEST, "wasm_entry": "code.wasm"})
    (folder / "code.wasm").write_bytes(module.read_bytes())
    archive = tmp_path / "greeter.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(folder / "manifest.json", "greeter/manifest.json")
        file.write(folder / "code.wasm", "greeter/code.wasm")
    beside = tmp_path / "beside" / "greeter.wasm"
    write_manifest(beside.parent, name="greeter.json")
    beside.write_bytes(module.read_bytes())
    for path in (folder, archive, beside):
        assert inspected(serve, path)["manifest"]["name"] == "greeter"
    text = serve.run("inspect", str(archive)).stdout
    assert "greeter 1.2.3" in text and "GET     /hello/{who} -> hello" in text


def test_validate_reports_a_wrong_manifest(serve, module: Path, tmp_path: Path) -> None:
    beside = tmp_path / "p" / "greeter.wasm"
    write_manifest(beside.parent, {"name": "greeter", "version": "1", "routes": [{}]}, "greeter.json")
    beside.write_bytes(module.read_bytes())
    result = serve.run("validate", "-c", str(serve.write(f"plugins:\n  - {{name: greeter, path: '{beside}'}}\n")))
    assert result.returncode == 78
    assert "$.routes[0].path: is missing" in result.stderr and "plugins[0].path" in result.stderr
