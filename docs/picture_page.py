"""Draws ``docs/page.png``, the picture in the README: ``python docs/picture_page.py runs/cdr``.

The run is one of Chemical-Disease, named from the top of the repository; the abstract and its
names are those of ``docs/example``.
"""

import subprocess
import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "tests"))

from browser import browser, prefer  # noqa: E402

if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        page, profile = Path(folder, "relations.html"), Path(folder, "profile")
        arguments = {
            "run": sys.argv[1],
            "input": "docs/example/abstract.txt",
            "mentions": "dictionary",
            "mentions.file": "docs/example/names.tsv",
            "output": page,
        }
        settings = [f"{key}={value}" for key, value in arguments.items()]
        subprocess.run([sys.executable, "-m", "glre_pyg.predict", *settings], cwd=HERE.parent, check=True)
        chromium = browser(profile, size=(1400, 900))
        try:
            chromium.get(page.as_uri())
            prefer(chromium, prefers_reduced_motion="reduce")
            picture = chromium.get_screenshot_as_png()
        finally:
            chromium.quit()
    Image.open(BytesIO(picture)).convert("RGB").quantize(256).save(HERE / "page.png", optimize=True)
