"""A browser without a window, for tests that click."""

import shutil
from pathlib import Path

import pytest


def browser(profile: Path, *options: str, size: tuple[int, int] = (1400, 1000)):
    """Chromium with an empty profile, which asks the network for nothing; skips the test where there is none.

    Args:
        profile: An empty folder.
        options: Further options of Chromium.
        size: Width and height of the page, in pixels.
    """
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("there is no chromium with a chromedriver")
    chosen = webdriver.ChromeOptions()
    chosen.binary_location = binary
    quiet = ["background-networking", "component-update", "sync", "gpu", "quic"]
    for option in [
        "--headless=new",
        "--no-sandbox",
        "--no-first-run",
        *(f"--disable-{name}" for name in quiet),
        f"--user-data-dir={profile}",
        "--force-device-scale-factor=1",
        *options,
    ]:
        chosen.add_argument(option)
    chosen.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(chosen, webdriver.ChromeService(executable_path=driver))
    resize(made, *size)
    return made


def resize(driver, width: int, height: int) -> None:
    """Give the page itself this size, whatever a window's frame takes."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def prefer(driver, **features: str) -> None:
    """Let the reader prefer something: ``prefers_color_scheme="dark"``."""
    chosen = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": chosen})


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """One browser for a module of tests."""
    made = browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.quit()
