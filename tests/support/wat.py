"""Makes Proxy-Wasm plugins of a few lines of WAT, and compiles them with wat2wasm."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from support.paths import TESTS

# Host calls by name: parameter types, one letter each (i = i32, I = i64). All of them return an i32.
HOST_CALLS: dict[str, str] = {
    "proxy_log": "iii",
    "proxy_get_log_level": "i",
    "proxy_get_current_time_nanoseconds": "i",
    "proxy_set_tick_period_milliseconds": "i",
    "proxy_get_buffer_bytes": "iiiii",
    "proxy_get_buffer_status": "iii",
    "proxy_set_buffer_bytes": "iiiii",
    "proxy_get_header_map_pairs": "iii",
    "proxy_set_header_map_pairs": "iii",
    "proxy_get_header_map_value": "iiiii",
    "proxy_add_header_map_value": "iiiii",
    "proxy_replace_header_map_value": "iiiii",
    "proxy_remove_header_map_value": "iii",
    "proxy_get_header_map_size": "ii",
    "proxy_get_property": "iiii",
    "proxy_set_property": "iiii",
    "proxy_continue_stream": "i",
    "proxy_close_stream": "i",
    "proxy_send_local_response": "iiiiiiii",
    "proxy_http_call": "iiiiiiiiii",
    "proxy_grpc_call": "iiiiiiiiiiii",
    "proxy_grpc_stream": "iiiiiiiii",
    "proxy_grpc_send": "iiii",
    "proxy_grpc_cancel": "i",
    "proxy_grpc_close": "i",
    "proxy_get_status": "iii",
    "proxy_get_shared_data": "iiiii",
    "proxy_set_shared_data": "iiiii",
    "proxy_register_shared_queue": "iii",
    "proxy_resolve_shared_queue": "iiiii",
    "proxy_enqueue_shared_queue": "iii",
    "proxy_dequeue_shared_queue": "iii",
    "proxy_call_foreign_function": "iiiiii",
    "proxy_define_metric": "iiii",
    "proxy_increment_metric": "iI",
    "proxy_record_metric": "iI",
    "proxy_get_metric": "ii",
    "proxy_set_effective_context": "i",
    "proxy_done": "",
    "proxy_get_configuration": "ii",
    "proxy_send_http_response": "iiiiiiii",
    "proxy_continue_request": "",
    "proxy_continue_response": "",
    "proxy_clear_route_cache": "",
}

# Callbacks by their short name: exported name, parameters, whether they return an i32.
CALLBACKS: dict[str, tuple[str, int, bool]] = {
    "initialize": ("_initialize", 0, False),
    "start": ("_start", 0, False),
    "allocate": ("proxy_on_memory_allocate", 1, True),
    "context_create": ("proxy_on_context_create", 2, False),
    "vm_start": ("proxy_on_vm_start", 2, True),
    "configure": ("proxy_on_configure", 2, True),
    "tick": ("proxy_on_tick", 1, False),
    "request_headers": ("proxy_on_request_headers", 3, True),
    "request_body": ("proxy_on_request_body", 3, True),
    "request_trailers": ("proxy_on_request_trailers", 2, True),
    "response_headers": ("proxy_on_response_headers", 3, True),
    "response_body": ("proxy_on_response_body", 3, True),
    "response_trailers": ("proxy_on_response_trailers", 2, True),
    "new_connection": ("proxy_on_new_connection", 1, True),
    "downstream_data": ("proxy_on_downstream_data", 3, True),
    "upstream_data": ("proxy_on_upstream_data", 3, True),
    "queue_ready": ("proxy_on_queue_ready", 2, False),
    "grpc_receive": ("proxy_on_grpc_receive", 3, False),
    "grpc_close": ("proxy_on_grpc_close", 3, False),
    "http_call_response": ("proxy_on_http_call_response", 5, False),
    "done": ("proxy_on_done", 1, True),
    "log": ("proxy_on_log", 1, False),
    "delete": ("proxy_on_delete", 1, False),
}

# What a callback returns when its body leaves that to us: accept (1) at start and end, continue (0) elsewhere.
RETURNS_ONE = ("vm_start", "configure", "done")

TYPES = {"i": "i32", "I": "i64"}

# Where things lie in the one page that a generated plugin starts with.
TEXTS = 1024  # texts given to plugin()
SCRATCH = 8192  # out parameters
ALLOCATED = 16384  # what the allocator hands out: eight slots of 4 KiB, then from the first again


def host_import(name: str, parameters: str | None = None) -> str:
    parameters = HOST_CALLS[name] if parameters is None else parameters
    types = " ".join(TYPES[letter] for letter in parameters)
    return f'(import "env" "{name}" (func ${name} (param {types}) (result i32)))'


def callback(name: str, body: str) -> str:
    exported, count, returns = CALLBACKS[name]
    parameters = " ".join(f"(param $p{index} i32)" for index in range(count))
    result = "(result i32)" if returns else ""
    final = f"(i32.const {int(name in RETURNS_ONE)})" if returns else ""
    return f'(func (export "{exported}") {parameters} {result}\n    {body}\n    {final})'


def string(data: bytes) -> str:
    return '"' + "".join(f"\\{byte:02x}" for byte in data) + '"'


def log_call(text: str, texts: dict[str, int], level: int = 2) -> str:
    """WAT that logs `text`, which it enters into `texts`."""
    return (f"(drop (call $proxy_log (i32.const {level}) (i32.const {place(text, texts)}) "
            f"(i32.const {len(text.encode())})))")


def place(text: str, texts: dict[str, int]) -> int:
    """The address of a text, entered into `texts` when it is new."""
    if text not in texts:
        texts[text] = TEXTS + sum(len(known.encode()) for known in texts)
    return texts[text]


def plugin(callbacks: Mapping[str, str], imports: tuple[str, ...] = (), texts: Mapping[str, int] | None = None,
           extra: str = "", pages: str = "1", marker: str = "proxy_abi_version_0_2_1") -> str:
    """A module with these callbacks (short name -> WAT body), an allocator and the ABI marker."""
    lines = ["(module"]
    lines += [host_import(name) for name in dict.fromkeys(imports)]
    lines.append('(import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))')
    lines.append(f'(memory (export "memory") {pages})')
    lines.append("(global $slot (mut i32) (i32.const 0))")
    for text, address in (texts or {}).items():
        lines.append(f"(data (i32.const {address}) {string(text.encode())})")
    if marker:
        lines.append(f'(func (export "{marker}"))')
    if "allocate" not in callbacks:
        lines.append(ALLOCATOR)
    lines += [callback(name, body) for name, body in callbacks.items()]
    return "\n  ".join([*lines, extra]) + ")\n"


ALLOCATOR = f"""(func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (global.set $slot (i32.and (i32.add (global.get $slot) (i32.const 1)) (i32.const 7)))
    (i32.add (i32.const {ALLOCATED}) (i32.mul (global.get $slot) (i32.const 4096))))"""


class Compiler:
    """wat2wasm, and clang for C, with their results kept for the run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tool = shutil.which("wat2wasm")
        assert self._tool, "wat2wasm is missing: apt-get install wabt"

    def __call__(self, source: str | Path, name: str = "module") -> Path:
        """`source`: WAT text, or a path below tests/."""
        if isinstance(source, Path):
            name, source = source.stem, (TESTS / source).read_text()
        digest = hashlib.sha256(source.encode()).hexdigest()[:12]
        wasm = self._folder / f"{name}-{digest}.wasm"
        if not wasm.exists():
            text = wasm.with_suffix(".wat")
            text.write_text(source)
            subprocess.run([self._tool, "--enable-all", str(text), "-o", str(wasm)], check=True,
                           capture_output=True, text=True)
        return wasm

    def c(self, source: Path) -> Path:
        """A freestanding C file below tests/."""
        wasm = self._folder / f"{source.stem}-c.wasm"
        if not wasm.exists():
            clang = shutil.which("clang-19")
            assert clang, "clang-19 is missing: apt-get install clang-19 lld-19"
            subprocess.run([clang, "--target=wasm32", "-O2", "-nostdlib", "-fno-builtin", "-Wl,--no-entry", "-Wall",
                            "-Wextra", "-Werror", "-o", str(wasm), str(TESTS / source)], check=True)
        return wasm

    def program(self, source: Path) -> Path:
        """A C program for WASI below tests/."""
        wasm = self._folder / f"{source.stem}-wasi.wasm"
        if not wasm.exists():
            clang = shutil.which("clang-19")
            assert clang, "clang-19 is missing: apt-get install clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32"
            subprocess.run([clang, "--target=wasm32-wasi", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(wasm),
                            str(TESTS / source)], check=True)
        return wasm
