"""Heddle in Python, over its C API: python3 host.py PLUGIN [METHOD [PARAMS]]

HEDDLE_LIBRARY names the library when the system does not find it as libheddle.so.0.1.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Callable
from typing import Any

library = ctypes.CDLL(os.environ.get("HEDDLE_LIBRARY", "libheddle.so.0.1"))

METHOD = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
RELEASE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
POINTER, TEXT, BOOL = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_bool
for name, result, arguments in [
    ("heddle_version", TEXT, []),
    ("heddle_free", None, [POINTER]),
    ("heddle_error_message", TEXT, [POINTER]),
    ("heddle_error_code", ctypes.c_int, [POINTER]),
    ("heddle_error_cause", TEXT, [POINTER]),
    ("heddle_error_delete", None, [POINTER]),
    ("heddle_host_new", POINTER, [TEXT, POINTER]),
    ("heddle_host_delete", None, [POINTER]),
    ("heddle_host_add_method", BOOL, [POINTER, TEXT, METHOD, POINTER, RELEASE, POINTER]),
    ("heddle_host_load_file", POINTER, [POINTER, TEXT, TEXT, POINTER]),
    ("heddle_reply_success", None, [POINTER, TEXT]),
    ("heddle_reply_failure", None, [POINTER, ctypes.c_int, TEXT, TEXT]),
    ("heddle_plugin_call", POINTER, [POINTER, TEXT, TEXT, POINTER]),
    ("heddle_plugin_delete", None, [POINTER]),
]:
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments


class HeddleError(Exception):
    """What a call of the library failed with: code and cause as heddle.h has them."""

    def __init__(self, error: int) -> None:
        super().__init__(library.heddle_error_message(error).decode())
        self.code: int = library.heddle_error_code(error)
        self.cause: str = library.heddle_error_cause(error).decode()
        library.heddle_error_delete(error)


def checked(function: Callable[..., Any], *arguments: object) -> Any:
    error = POINTER()
    result = function(*arguments, ctypes.byref(error))
    if not result:
        raise HeddleError(error.value or 0)
    return result


class Host:
    """Loads plugins and offers them methods; `options` as of heddle_host_new()."""

    def __init__(self, **options: object) -> None:
        self._handle = checked(library.heddle_host_new, json.dumps(options).encode())
        self._kept: list[object] = []  # ctypes forgets callbacks that nobody holds

    def method(self, name: str, function: Callable[[Any], Any]) -> None:
        def answer(_user: int, params: bytes, reply: int) -> None:
            try:
                library.heddle_reply_success(reply, json.dumps(function(json.loads(params))).encode())
            except Exception as problem:  # noqa: BLE001: whatever it is, the plugin must hear of it
                library.heddle_reply_failure(reply, -32603, str(problem).encode(), None)

        callback = METHOD(answer)
        self._kept.append(callback)
        checked(library.heddle_host_add_method, self._handle, name.encode(), callback, None, RELEASE())

    def load(self, path: str, **options: object) -> Plugin:
        return Plugin(self, checked(library.heddle_host_load_file, self._handle, path.encode(),
                                    json.dumps(options).encode()))

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            library.heddle_host_delete(self._handle)


class Plugin:
    def __init__(self, host: Host, handle: int) -> None:
        self._host, self._handle = host, handle

    def call(self, method: str, params: object = None) -> Any:
        answer = checked(library.heddle_plugin_call, self._handle, method.encode(), json.dumps(params).encode())
        try:
            return json.loads(ctypes.string_at(answer))
        finally:
            library.heddle_free(answer)

    def __del__(self) -> None:
        library.heddle_plugin_delete(self._handle)


def main() -> int:
    host = Host()
    host.method("echo", lambda params: params)
    plugin = host.load(sys.argv[1], timeout_ms=2000)
    method = sys.argv[2] if len(sys.argv) > 2 else "hello"
    params = sys.argv[3] if len(sys.argv) > 3 else "null"
    try:
        print(json.dumps(plugin.call(method, json.loads(params))))
    except HeddleError as error:
        print(f"{error} ({error.cause})", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
