"""Where things are, relative to the repository."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
EXAMPLES = ROOT / "examples"
BUILT_EXAMPLES = ROOT / "build" / "examples"


def heddle_binary() -> Path:
    """The server under test: $HEDDLE_BIN, or the release build."""
    return Path(os.environ.get("HEDDLE_BIN", ROOT / "build" / "release" / "heddle")).absolute()


def is_sanitized(binary: Path) -> bool:
    """Whether the binary is an ASan or TSan build: its memory figures say nothing, and it is slow."""
    content = binary.read_bytes()
    return b"__asan_init" in content or b"__tsan_init" in content
