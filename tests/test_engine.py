"""The page's engine against a running service: its requests, its masks, its steps, without a browser."""

import os
import subprocess
from pathlib import Path

import httpx

from tests.conftest import ServiceUnderTest
from tests.factories import a_project

WEB = Path(__file__).parent.parent / "web"


def test_the_engine_and_the_service_agree(service: ServiceUnderTest, api: httpx.Client) -> None:
    assert (WEB / "node_modules").is_dir(), "the page's packages are not there: make test puts them there"
    label = a_project(api, images=4).label_id
    place = {"VITE_URL": service.base_url, "VITE_TOKEN": service.token, "VITE_LABEL": str(label)}
    done = subprocess.run(
        ["npx", "vitest", "run", "--config", "tests/live/vitest.config.ts", "--root", "."],
        cwd=WEB,
        env={**os.environ, **place},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
