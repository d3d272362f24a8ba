"""Screenshots of every picture of the lessons at its key frames, in both themes, in a notebook's width and full screen.

`python -m tests.browser.look FOLDER [LESSON …]` from the checkout, and then look at FOLDER/index.html. Nothing is
compared: whether a picture is good is for eyes.
"""

import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

from browser.conftest import FLAGS, READY  # noqa: E402
from browser.lessons import LESSONS  # noqa: E402
from conftest import browser_found  # noqa: E402
from hvlab.notebooks import shipped  # noqa: E402
from hvlab.view import site  # noqa: E402

SIZES = {"844": (876, 720), "full": (1280, 720)}
VISIT = (HERE / "visit.js").read_text("utf-8")


def shots(page: Any, folder: Path, name: str, full: bool) -> Iterator[str]:
    """Take the pictures of a page's players; yield the file names."""
    page.evaluate(VISIT)
    for number, player in enumerate(page.locator(".hvlab").all()):
        this = f"visit.players()[{number}]"
        page.evaluate(f"{this}.scrollIntoView()")
        page.evaluate(f"visit.end({this})")
        if full:
            player.get_by_role("button", name="Full screen", exact=True).click()
        while page.evaluate(f"Boolean(visit.asked({this}))"):
            yield taken(page, player, folder / f"{name}-p{number}-question.png", full)
            page.evaluate(f"visit.answer({this})")
            page.evaluate(f"visit.end({this})")
        frames = page.evaluate(f"visit.moments({this})")
        for tab in page.evaluate(f"visit.tabs({this}).map((one) => one.textContent)") or [""]:
            if tab:
                player.get_by_role("button", name=tab, exact=True).click()
            for k in frames:
                page.evaluate(f"visit.go({this}, {k})")
                yield taken(page, player, folder / f"{name}-p{number}-{tab or 'picture'}-{k}.png", full)
        if full:
            player.get_by_role("button", name="Full screen", exact=True).click()


def taken(page: Any, player: Any, path: Path, full: bool) -> str:
    """Take one picture: of the player, or of the whole screen."""
    (page if full else player).screenshot(path=str(path))
    return path.name


def main(folder: Path, numbers: list[str]) -> None:
    """Write the pictures of these lessons, or of all, and the page that shows them."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    wanted = [path for path in shipped() if not numbers or path.name[:2] in numbers]
    site.write(wanted, folder / "site")
    names: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_found(), args=FLAGS)
        for number in [path.name[:2] for path in wanted]:
            path = folder / "site" / LESSONS[number]
            for size, (width, height) in SIZES.items():
                for scheme in ("light", "dark"):
                    room = {"width": width, "height": height}
                    page = browser.new_page(viewport=room, color_scheme=scheme, reduced_motion="reduce")
                    page.goto(path.as_uri())
                    page.wait_for_selector(READY)
                    names += shots(page, folder, f"{number}-{size}-{scheme}", size == "full")
                    page.close()
        browser.close()
    shown = "".join(f"<figure><img src='{escape(one)}' width=600><figcaption>{escape(one)}</figure>" for one in names)
    (folder / "index.html").write_text(f"<!DOCTYPE html><title>Pictures</title>{shown}\n", encoding="utf-8")
    print(f"{len(names)} pictures in {folder}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(str(__doc__))
    main(Path(sys.argv[1]), sys.argv[2:])
