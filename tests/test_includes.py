"""The rules of the source tree that no compiler checks: which folder may include which (the table of the architecture),
where wasmtime.h is known, that every folder has its page, and that links in the documentation lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from support.paths import ROOT

SRC = ROOT / "src"

# Folder -> what it may include directly. What those include comes with them ("and what those include").
MAY_INCLUDE: dict[str, set[str]] = {
    "base": set(),
    "sandbox": {"base"},
    "net": {"base"},
    "http": {"base", "net"},
    "extension": {"base", "http"},
    "services": {"base", "net", "http"},
    "contracts": {"extension", "sandbox", "services"},
    "plugins": {"extension", "sandbox", "config"},
    "gateway": {"extension", "http", "config", "telemetry"},
    "messaging": {"extension", "http", "services", "config"},
    "telemetry": {"base", "http"},
    "admin": {"plugins", "config", "telemetry", "http", "services"},  # everything's read side
    "config": {"base"},
}
EVERYTHING = ("cli", "library")
WASMTIME_HEADER = "sandbox/wasmtime_api.h"

QUOTED = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
ANY_INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]', re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def allowed(folder: str) -> set[str]:
    """The folder itself and everything that it reaches through the table."""
    reached = {folder}
    waiting = [folder]
    while waiting:
        for further in MAY_INCLUDE[waiting.pop()] - reached:
            reached.add(further)
            waiting.append(further)
    return reached


def sources() -> Iterator[Path]:
    for pattern in ("*.h", "*.cc", "*.c"):
        yield from sorted(SRC.rglob(pattern))


def test_every_include_is_allowed() -> None:
    offences = []
    for file in sources():
        folder = file.relative_to(SRC).parts[0]
        if folder in EVERYTHING:
            continue
        assert folder in MAY_INCLUDE, f"src/{folder} is not in the table of the architecture"
        for included in QUOTED.findall(file.read_text()):
            target = included.split("/")[0]
            known = target in MAY_INCLUDE or target in EVERYTHING
            if known and target not in allowed(folder):
                offences.append(f"{file.relative_to(ROOT)} includes {included}")
    assert offences == []


def test_a_contract_includes_no_other_contract() -> None:
    offences = []
    for file in sources():
        parts = file.relative_to(SRC).parts
        if parts[0] != "contracts":
            continue
        for included in QUOTED.findall(file.read_text()):
            target = included.split("/")
            if target[0] == "contracts" and target[1] != parts[1]:
                offences.append(f"{file.relative_to(ROOT)} includes {included}")
    assert offences == []


def test_the_table_has_no_cycles() -> None:
    for folder in MAY_INCLUDE:
        for included in MAY_INCLUDE[folder]:
            assert folder not in allowed(included), f"{folder} and {included} include each other"


def test_one_header_includes_wasmtime() -> None:
    users = [str(file.relative_to(SRC)) for file in sources()
             if any(name.startswith(("wasmtime", "wasm.h", "heddle_wasmtime")) for name in ANY_INCLUDE.findall(file.read_text()))]
    assert users == [WASMTIME_HEADER]


def test_the_public_headers_include_nothing_private() -> None:
    public = ROOT / "include"
    for file in sorted(public.rglob("*.h")) if public.is_dir() else []:
        for included in QUOTED.findall(file.read_text()):
            assert included.startswith("heddle/"), f"{file.relative_to(ROOT)} includes {included}"


def folders_with_a_page() -> list[Path]:
    own = [folder for folder in sorted(SRC.iterdir()) if folder.is_dir() and folder.name != "contracts"]
    contracts = [folder for folder in sorted((SRC / "contracts").iterdir()) if folder.is_dir()]
    return [*own, *contracts, ROOT / "tests", ROOT / "bench", ROOT / "examples", ROOT]


def test_every_folder_has_its_page() -> None:
    missing = [str(folder.relative_to(ROOT)) for folder in folders_with_a_page() if not (folder / "README.md").is_file()]
    assert missing == []


def pages() -> Iterator[Path]:
    for file in sorted(ROOT.rglob("*.md")):
        inside = file.relative_to(ROOT).parts
        if inside[0] not in ("build", "third_party", ".git") and "node_modules" not in inside:
            yield file


def test_links_of_the_documentation_lead_somewhere() -> None:
    broken = []
    for page in pages():
        for target in LINK.findall(FENCE.sub("", page.read_text())):
            if re.match(r"[a-z]+:", target) or target.startswith("#"):
                continue
            if not (page.parent / target.split("#")[0]).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []
