"""MLflow's own pages and the report, in a real browser.

From a metric back to the raw files, by clicks; and a report that reads well on any screen.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey import REPOSITORY, Project, make_project
from mlflow_server import Server
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as expected
from selenium.webdriver.support.wait import WebDriverWait

pytestmark = pytest.mark.journey

PATIENCE = 40.0  # seconds for a page
SCREENSHOTS = REPOSITORY / "test-artifacts" / "pages"
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1500,1500",
)  # fmt: skip


class Pages:
    """A browser; every step leaves a picture in test-artifacts/pages."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self._count = 0
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)

    def find(self, xpath: str) -> WebElement:
        wait = WebDriverWait(self.driver, PATIENCE)
        try:
            return wait.until(expected.presence_of_element_located((By.XPATH, xpath)))
        except TimeoutException:
            self.keep("missing")
            raise AssertionError(f"{self.driver.current_url} has no {xpath}") from None

    def see(self, text: str) -> None:
        self.find(f'//body//*[not(self::script) and contains(., "{text}")]')

    def click(self, text: str) -> None:
        """Click the first link of the description with that text; it may open another tab."""
        tabs = self.driver.window_handles
        link = self.find(f'//a[normalize-space()="{text}" and starts-with(@href, "#/experiments")]')
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", link)
        WebDriverWait(self.driver, PATIENCE).until(expected.element_to_be_clickable(link)).click()
        for tab in set(self.driver.window_handles) - set(tabs):
            self.driver.switch_to.window(tab)

    def keep(self, name: str) -> None:
        self._count += 1
        self.driver.save_screenshot(str(SCREENSHOTS / f"{self._count:02d}-{name}.png"))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, str]]:
    """A project that has run against a server, and the address that the run printed."""
    folder = tmp_path_factory.mktemp("pages")
    server = Server(folder)
    server.start()
    try:
        project = make_project(folder / "project")
        project.environment["MLFLOW_TRACKING_URI"] = server.uri
        printed = project.call("run", "dag.yaml").stdout
        (address,) = [
            line.split()[1] for line in printed.splitlines() if line.startswith("MLflow:")
        ]
        yield project, address
    finally:
        server.stop()


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    options = webdriver.ChromeOptions()
    for option in (*OPTIONS, f"--user-data-dir={tmp_path / 'browser'}"):
        options.add_argument(option)
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium, "tests/machine.sh installs it"
    assert chromedriver, "tests/machine.sh installs it"
    options.binary_location = chromium
    # It looks for a browser's sandbox and for fonts in the home of somebody.
    service = webdriver.ChromeService(chromedriver, env={**os.environ, "HOME": str(tmp_path)})
    driver = webdriver.Chrome(options, service)
    try:
        yield Pages(driver)
    finally:
        driver.quit()


def test_from_a_metric_a_person_clicks_back_to_the_list_of_raw_files(
    ran: tuple[Project, str], pages: Pages
) -> None:
    project, address = ran
    pages.driver.get(address)
    pages.see("Comparison")
    picture = pages.find('//img[contains(@src, "lineage.svg")]')
    WebDriverWait(pages.driver, PATIENCE).until(
        lambda driver: driver.execute_script("return arguments[0].naturalWidth > 300", picture)
    )
    pages.keep("run")
    pages.find('//*[text()="Show more"]').click()
    pages.click("scores[arm=edited,seed=1]")

    pages.see("bits_per_byte")
    pages.keep("metric")
    for stage, told in (
        ("model[arm=edited,seed=1]", "training.language_model"),
        ("edited", "editing.resample"),
        ("tokens", "tokenizer.encode"),
        ("split", "corpus.split"),
        ("clean", "corpus.clean"),
        ("documents", "corpus.documents"),
    ):
        pages.click(stage)
        pages.see(told)
        pages.find(
            f'//*[normalize-space()="{stage}"][self::h1 or self::h2 or self::h3 or self::span]'
        )
        pages.keep(stage.partition("[")[0])
    pages.click("sources.txt")
    for path in sorted((project.folder / "texts").glob("*.txt"))[:3]:
        pages.see(str(path))
    pages.keep("sources")


def test_every_run_says_where_it_stands_and_shows_the_data_of_its_models(
    ran: tuple[Project, str], pages: Pages
) -> None:
    _, address = ran
    pages.driver.get(address)
    pages.find('//*[text()="Show more"]').click()
    pages.click("model[arm=edited,seed=1]")
    pages.see("this run")
    pages.find('//a[text()="small.model"]')  # the version that was registered
    if not pages.driver.find_elements(By.XPATH, '//*[contains(text(), "edited.tokens")]'):
        pages.find('//*[text()="+3"]').click()
    pages.see("edited.tokens")  # a data set, by the name of what made it
    pages.keep("model")


@pytest.mark.parametrize(("width", "shape"), [(400, "srcset"), (1600, "src")])
def test_the_report_fits_its_screen_and_asks_the_network_for_nothing(
    ran: tuple[Project, str], pages: Pages, width: int, shape: str
) -> None:
    project, _ = ran
    folder = project.folder / f"report-{width}"
    project.call("show", "comparison.report", "--extract", str(folder))
    driver = pages.driver
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 1200, "deviceScaleFactor": 1, "mobile": False},
    )
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd(
        "Network.emulateNetworkConditions",
        {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1},
    )
    driver.get((folder / "report.html").as_uri())
    pages.see("What went into the arms")
    pages.keep(f"report-{width}")
    assert driver.get_log("browser") == []
    asked = driver.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    assert [address for address in asked if not address.startswith("data:")] == []
    # Nothing is cut off or needs a swipe, and each figure is there in the shape for this width.
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    figures = driver.execute_script(
        "return [...document.images].map(image => [image.naturalWidth > 300,"
        " image.getBoundingClientRect().right <= innerWidth,"
        " image.currentSrc === image.closest('picture').querySelector(`[${arguments[0]}]`)"
        "[arguments[0]]])",
        shape,
    )
    assert figures
    assert all(figure == [True, True, True] for figure in figures), figures
