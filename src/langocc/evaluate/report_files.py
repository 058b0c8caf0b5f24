# SPDX-License-Identifier: Apache-2.0
"""A report on disk: `report.json` for programs, `report.md` for people."""

import json
from pathlib import Path

from langocc.evaluate.markdown import markdown
from langocc.evaluate.report import Report
from langocc.files import replacing


def write_report(folder: Path, report: Report, stem: str = "report") -> tuple[Path, Path]:
    """Writes `<stem>.json` and `<stem>.md` into a folder and returns their paths."""
    paths = folder / f"{stem}.json", folder / f"{stem}.md"
    texts = json.dumps(report.to_json(), indent=1, allow_nan=False), markdown(report)
    for path, text in zip(paths, texts, strict=True):
        with replacing(path) as temporary:
            temporary.write_text(text.rstrip() + "\n", encoding="utf-8")
    return paths
