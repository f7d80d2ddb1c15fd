#!/bin/sh
# Check style, docstrings, formatting, and that notebooks are stored without outputs.
set -eu
cd "$(dirname "$0")/.."
sh scripts/install.sh lint

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/python - <<'PYTHON'
import json
import sys
from pathlib import Path

kept = [
    str(path)
    for path in sorted(Path("notebooks").glob("*.ipynb"))
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
    if cell.get("outputs") or cell.get("execution_count")
]
if kept:
    sys.exit(f"clear the outputs of {', '.join(dict.fromkeys(kept))} before committing")
PYTHON
