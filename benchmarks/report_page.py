"""The pages of a store in headless Chromium: size, first paint and errors, on a desk and on a phone.

    python benchmarks/report_page.py data/store-real

Opens every domain's last evaluation report and the leaderboard, each five times, and prints the median of the first paint.
Expected for every page: no error and no request to the network, at most 3 MB, first paint below 1 s, no sideways scrolling.
Needs Chromium (`apt-get install chromium`) and playwright.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from lex_assets.passages.stored import published, read_parquet
from lex_assets.schemas import DOMAINS

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
VIEWS = {"desk": 1280, "phone": 390}
REPEATS = 5
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint').map(entry => entry.startTime)[0]"


def pages(store: Path) -> dict[str, Path]:
    """Name → page of the last reports and of the leaderboard, as far as they are there."""
    tables = {domain: published(store / "tables" / "eval_report" / domain, "report") for domain in DOMAINS}
    found = {
        domain: store / read_parquet(path).item(0, "path") / "report.html"
        for domain, paths in tables.items()
        for path in paths
    }
    board = store / "registry" / "leaderboard.html"
    return found | ({"leaderboard": board} if board.is_file() else {})


def opened(browser: Browser, page_file: Path, width: int) -> dict[str, Any]:
    """What one visit shows."""
    page = browser.new_page(viewport={"width": width, "height": 844})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request", lambda request: said.append(request.url) if not request.url.startswith(("file", "data")) else None
    )
    page.goto(page_file.as_uri())
    page.wait_for_function(f"{FIRST_PAINT} !== undefined")
    seen = {
        "paint_ms": page.evaluate(FIRST_PAINT),
        "width": page.evaluate("document.documentElement.scrollWidth"),
        "said": said,
    }
    page.close()
    return seen


def main(store: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for name, page_file in pages(store.resolve()).items():
            for view, width in VIEWS.items():
                visits = [opened(browser, page_file, width) for _ in range(REPEATS)]
                paint = statistics.median(visit["paint_ms"] for visit in visits)
                errors = sorted({line for visit in visits for line in visit["said"]})
                wide = " · SCROLLS SIDEWAYS" if any(visit["width"] > width for visit in visits) else ""
                size = page_file.stat().st_size / 1e6
                print(f"{name} {view}: {size:.2f} MB, first paint {paint:.0f} ms, errors {errors or 'none'}{wide}")
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    main(parser.parse_args().store)
