"""The services behind plugins, as the server makes them: what is wrong with their settings is said at the start."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.paths import heddle_binary

WRONG = {
    "a key file that is not there": ("auth: {jwt: {key_files: [/none.pem]}}", "/none.pem"),
    "a password that is no hash": ('auth: {users: {ada: "plain"}}', "auth.users"),
    "a database without a secret": (
        'sql: {url: "postgresql://db/x", secret_file: /none}',
        "sql.secret_file: /none cannot be read",
    ),
    "an authority that is not there": ("outbound_http: {ca_file: /none.pem}", "/none.pem"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_ends_the_start_with_its_name(name: str, tmp_path: Path) -> None:
    setting, words = WRONG[name]
    file = tmp_path / "heddle.yaml"
    file.write_text(
        f'listeners: [{{address: "127.0.0.1:0"}}]\nadmin: {{enabled: false}}\ndata_dir: {tmp_path}/data\n{setting}\n'
    )
    ended = subprocess.run(
        [heddle_binary(), "serve", "-c", str(file)], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode != 0
    assert words in ended.stdout + ended.stderr
