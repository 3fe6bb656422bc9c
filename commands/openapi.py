"""Prints the API's OpenAPI schema, without a service: `python -m commands.openapi`.

The types of the web page are made from it.
"""

import json
import sys
import tempfile
from pathlib import Path

from service.main import create_app
from service.settings import Settings


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), redis_url="redis://127.0.0.1:1/0")
        json.dump(create_app(settings).openapi(), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
