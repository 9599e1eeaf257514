#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The page of `tulle report` in Chromium: nothing overflows, overlaps or fails; sorting and filtering by mouse and by keyboard.

    test_report_browser.py PROGRAM FOLDER     PROGRAM is tulle; FOLDER gets the screenshots

Prints TAP. Chromium and its driver are Debian's (chromium, chromium-driver); Selenium comes from PyPI, of the versions in
report_browser_requirements.txt, into build-tools/.
"""
import base64
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # the source folder is left as it is
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))
from tap import check, done, run, skip_all  # noqa: E402

REQUIREMENTS = HERE / "report_browser_requirements.txt"
REAL = [ROOT / f"tests/data/bench/mesa-{release}.json" for release in ("22.3", "25.0", "26.1")]
WIDTHS, SCHEMES = (400, 1400), ("light", "dark")
LONG = "An<b>accelerator</b> with_a_name_of_one_word_that_is_longer_than_a_telephone_is_wide (R) (TM) Ω漢字"


def with_selenium():
    """Goes on in a Python that has Selenium of those versions, made where there is none."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:8]}"
    folder = ROOT / "build-tools" / f"selenium-{version}"
    python = folder / "bin/python"
    if pathlib.Path(sys.prefix) == folder:
        return
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        for words in ((sys.executable, "-m", "venv", folder), (python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "-r", REQUIREMENTS)):
            made = subprocess.run(words, capture_output=True, text=True, check=False)
            if made.returncode:
                shutil.rmtree(folder, ignore_errors=True)
                skip_all(f"Selenium could not be had from PyPI: {(made.stderr.strip().splitlines() or ['no reason'])[-1][:200]}")
        (folder / "done").touch()
    os.execv(python, [str(python), *sys.argv])


# ---------------------------------------------------------------------------------------------------------------------
# The browser

def start(browser, driver):
    from selenium import webdriver  # pylint: disable=import-outside-toplevel
    from selenium.webdriver.chrome.service import Service  # pylint: disable=import-outside-toplevel
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb", "--hide-scrollbars"):
        options.add_argument(argument)
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(driver))


def show(chrome, page, width, scheme="light", media="screen"):
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500})
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]})
    chrome.get(page.as_uri())


def screenshot(chrome, path):
    size = chrome.execute_script("return [innerWidth, document.documentElement.scrollHeight]")
    taken = chrome.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}})
    path.write_bytes(base64.b64decode(taken["data"]))


# What is wrong with how a page is laid out, in words.
LAYOUT = r"""
const wrong = [], width = document.documentElement.clientWidth;
const name = (e) => `<${e.localName} ${e.className.baseVal ?? e.className}> '${e.textContent.trim().slice(0, 40)}'`;
const unseen = (e) => e.closest(".unseen, .skip, .shapes, [hidden]") || !e.getClientRects().length;
const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0.5 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1.5;
if (document.documentElement.scrollWidth > width) wrong.push(`the page is ${document.documentElement.scrollWidth} wide in ${width}`);
for (const e of document.body.querySelectorAll("*")) {
  if (unseen(e) || e.ownerSVGElement || e.closest("option, select")) continue;
  const box = e.getBoundingClientRect();
  if (!e.closest(".box *") && (box.right > width + 0.5 || box.left < -0.5)) wrong.push(`${name(e)} leaves the page`);
  const inline = getComputedStyle(e).display.startsWith("inline");
  if (!inline && !e.matches(".box, svg") && e.scrollWidth > e.clientWidth + 1) wrong.push(`${name(e)} holds more than it is wide`);
}
// text over text: in a chart, and outside of tables (there a cell that holds more than it is wide is caught above)
const texts = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const node = walk.currentNode, of = node.parentElement;
  if (!node.data.trim() || unseen(of) || of.closest("svg, table, script, select, title")) continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  for (const rect of range.getClientRects()) texts.push([rect, name(of)]);
}
texts.sort((a, b) => a[0].top - b[0].top);
for (let i = 0; i < texts.length; i++)
  for (let k = i + 1; k < texts.length && texts[k][0].top < texts[i][0].bottom; k++)
    // letters of a font reach over their line: rows of one paragraph may touch
    if (Math.min(texts[i][0].bottom, texts[k][0].bottom) - texts[k][0].top > 6 && meet(texts[i][0], texts[k][0])) wrong.push(`${texts[i][1]} is over ${texts[k][1]}`);
let drawings = 0;
for (const svg of document.querySelectorAll("svg[role=img]")) {
  drawings++;
  const own = svg.getBoundingClientRect();
  const boxes = Array.from(svg.querySelectorAll("text"), (t) => [t.getBoundingClientRect(), t]);
  boxes.forEach(([a, t], i) => {
    if (a.left < own.left - 0.5 || a.right > own.right + 0.5 || a.top < own.top - 0.5 || a.bottom > own.bottom + 0.5) wrong.push(`${name(t)} leaves its chart`);
    for (const [b, other] of boxes.slice(i + 1)) if (meet(a, b)) wrong.push(`${name(t)} is over ${name(other)} in a chart`);
  });
  for (const mark of svg.querySelectorAll("use")) {
    const box = mark.getBoundingClientRect();
    if (box.left < own.left || box.right > own.right || box.top < own.top || box.bottom > own.bottom) wrong.push("a mark leaves its chart");
  }
}
if (drawings < 8) wrong.push(`only ${drawings} charts`);
return wrong;
"""

# Text that stands too little apart from what is behind it (WCAG 2: 4.5 to 1; marks 3 to 1).
CONTRAST = r"""
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgb = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return Array.from(canvas.getImageData(0, 0, 1, 1).data); };
const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255]; };
const wrong = new Set();
for (const e of document.querySelectorAll("h1, h2, h3, p, a, dt, dd, td, th, th button, label, li, output, input, select, .letter, .quiet, svg text, use.mark")) {
  if (e.closest(".unseen, .shapes, [hidden]")) continue;
  const style = getComputedStyle(e), mark = e.localName === "use";
  const a = light(rgb(mark ? (e.matches(".hollow") ? style.stroke : style.fill) : e.ownerSVGElement ? style.fill : style.color)), b = light(behind(e));
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (contrast < (mark ? 3 : 4.5)) wrong.add(`<${e.localName} ${e.className.baseVal ?? e.className}>: ${contrast.toFixed(2)}`);
}
return Array.from(wrong);
"""


def long_names(folder):
    """The first file again, of a device and a workload with names that no layout expects."""
    data = json.loads(REAL[0].read_text(encoding="utf-8"))
    data["devices"][0] |= {"device": LONG, "driver_info": LONG * 2, "vendor": LONG}
    data["results"][0] |= {"pattern": "+".join(f"window:{i},0" for i in range(30)), "error": LONG * 3}
    data["results"][1] |= {"pattern": "x" * 200, "kernel": "y" * 100, "limit": LONG}
    for row, i in zip(data["results"][2:], range(14)):
        row["ms"], row["ms_low"], row["ms_high"] = (value * 10.0 ** (i - 6) for value in (row["ms"], row["ms_low"], row["ms_high"]))
    data["crossovers"] = [{"kind": "crossover", "device_index": 0, "device": LONG, "name": LONG, "template": "x" * 200, "by": "density", "causal": True, "length": 4096,
                           "head_dim": 64, "dtype": "fp32", "verdict": "never", "complete": False, "value": 0.1}]
    path = folder / "long.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


# ---------------------------------------------------------------------------------------------------------------------
# The tests

def test_layout(chrome, pages, shots):
    for page in pages:
        for width in WIDTHS:
            for scheme in SCHEMES:
                show(chrome, page, width, scheme)
                wrong = chrome.execute_script(LAYOUT)
                check(f"{page.stem}, {width} pixels, {scheme}: nothing overflows or overlaps", not wrong, "\n".join(wrong))
                messages = chrome.get_log("browser")
                check(f"{page.stem}, {width} pixels, {scheme}: the console says nothing", not messages, messages)
                screenshot(chrome, shots / f"{page.stem}-{width}-{scheme}.png")
        for scheme in SCHEMES:
            show(chrome, page, WIDTHS[1], scheme)
            wrong = chrome.execute_script(CONTRAST)
            check(f"{page.stem}, {scheme}: text and marks stand apart from what is behind them", not wrong, "\n".join(wrong))
    grounds = []
    for scheme in SCHEMES:
        show(chrome, pages[0], WIDTHS[1], scheme)
        grounds.append(chrome.execute_script("return getComputedStyle(document.body).backgroundColor"))
    check("light is not dark", grounds[0] != grounds[1], grounds)
    check("nothing is loaded", not chrome.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)"))


def column_of(chrome, name):
    """Of the rows that are shown: the column's numbers, or text where it has none; and its aria-sort."""
    return chrome.execute_script("""
        const head = [...document.querySelectorAll('.results th')], at = head.findIndex((h) => h.textContent === arguments[0]);
        const rows = [...document.querySelectorAll('.results tbody tr')].filter((row) => row.getClientRects().length);
        return [rows.map(({ cells }) => cells[at].dataset.v === undefined ? cells[at].textContent : Number(cells[at].dataset.v)),
                head.map((h) => h.getAttribute('aria-sort')).filter(Boolean), head[at].getAttribute('aria-sort')];""", name)


def test_sorting(chrome, page, keys):
    show(chrome, page, WIDTHS[1])
    button = {element.text: element for element in chrome.find_elements("css selector", ".results th button")}
    check("each heading is a button", len(button) == len(chrome.find_elements("css selector", ".results th")))
    before, sorts, _ = column_of(chrome, "time")
    check("at first nothing is called sorted", not sorts and before != sorted(before))
    for turn, reverse in (("ascending", False), ("descending", True)):
        button["time"].click()
        times, sorts, own = column_of(chrome, "time")
        check(f"by mouse: {turn}", own == turn and sorts == [turn] and times == sorted(before, reverse=reverse), times)
    for key, turn, reverse in ((keys.ENTER, "ascending", False), (keys.SPACE, "descending", True)):
        chrome.execute_script("arguments[0].focus()", button["pattern"])
        chrome.switch_to.active_element.send_keys(key)
        names, sorts, own = column_of(chrome, "pattern")
        check(f"by keyboard: {turn}", own == turn and sorts == [turn] and (names[0] == "blocks:64,@16x16p12") != reverse and len(set(names[:3])) == 1, names[:4])
    button["length"].click()
    check("numbers are sorted as numbers", column_of(chrome, "length")[0] == [1024] * 24 + [4096] * 24)


def test_filtering(chrome, page, keys):
    show(chrome, page, WIDTHS[0])
    find = chrome.find_element("css selector", "input[type=search]")
    said = lambda: chrome.find_element("css selector", "output").text  # noqa: E731
    check("all are shown at first", said() == "48 of 48 shown", said())
    find.send_keys("window:255 4096")
    check("each word is looked for, lengths with and without commas", said() == "6 of 48 shown" and set(column_of(chrome, "length")[0]) == {4096}, said())
    find.send_keys(keys.CONTROL, "a")
    find.send_keys(keys.BACKSPACE + "4,096 dense")
    check("and by keyboard something else", said() == "6 of 48 shown" and set(column_of(chrome, "pattern")[0]) == {"dense"}, said())
    chrome.find_element("css selector", "select[name=device]").send_keys("B")
    check("together with a device", said() == "2 of 48 shown" and set(column_of(chrome, "device")[0]) == {"B"}, said())
    find.send_keys("nothing")
    check("nothing that fits is said", said() == "0 of 48 shown", said())
    chrome.find_element("css selector", ".filters button[type=reset]").click()
    check("all are shown again", said() == "48 of 48 shown" and not find.get_attribute("value"), said())


def test_keyboard(chrome, page, keys):
    show(chrome, page, WIDTHS[0])
    body = chrome.find_element("css selector", "body")
    body.send_keys(keys.TAB)
    skip = chrome.switch_to.active_element
    check("the first key leads to a link past what is above", skip.get_attribute("class") == "skip" and skip.rect["y"] >= 0, skip.rect)
    skip.send_keys(keys.ENTER)
    check("which goes there", chrome.execute_script("return location.hash + document.activeElement.id") == "#mainmain")
    seen, faint = [], []
    show(chrome, page, WIDTHS[0])
    body = chrome.find_element("css selector", "body")
    for _ in range(60):
        chrome.switch_to.active_element.send_keys(keys.TAB)
        element, outline = chrome.execute_script("""
            const e = document.activeElement, s = getComputedStyle(e);
            return [`${e.localName} ${e.className || e.name || e.textContent}`, s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2];""")
        if element.startswith("body"):
            break
        seen.append(element)
        if not outline:
            faint.append(element)
    wanted = ("a skip", "a Devices", "div box snug", "input find", "select device", "button Show all", "div box tall", "button device", "button remark")
    check("all can be reached by keyboard", all(element in seen for element in wanted), seen)
    check("and where one is can be seen", not faint, faint)
    box = chrome.find_element("css selector", ".box.tall")
    chrome.execute_script("arguments[0].focus()", box)
    box.send_keys(keys.ARROW_RIGHT)
    moved = chrome.execute_async_script("const done = arguments[1]; setTimeout(() => done(arguments[0].scrollLeft), 400)", box)
    check("a wide table moves in its box by keyboard", moved > 0, moved)


def test_print(chrome, page, shots):
    show(chrome, page, 794, "dark", "print")  # A4
    wrong = chrome.execute_script(LAYOUT)
    check("in print nothing overflows or overlaps", not wrong, "\n".join(wrong))
    gone = chrome.execute_script("return ['nav', '.filters', '.skip'].filter((s) => document.querySelector(s).getClientRects().length)")
    check("what cannot be used there is gone", not gone, gone)
    check("and it is dark on white", chrome.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)")
    cut = chrome.execute_script("return [...document.querySelectorAll('.box')].filter((b) => b.scrollHeight > b.clientHeight + 1 || b.scrollWidth > b.clientWidth + 1).length")
    check("no table is cut", not cut, cut)
    screenshot(chrome, shots / f"{page.stem}-print.png")
    pdf = base64.b64decode(chrome.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": False})["data"])
    (shots / f"{page.stem}.pdf").write_bytes(pdf)
    check("it prints", pdf.startswith(b"%PDF"))


def test_without_script(chrome, page):
    chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    show(chrome, page, WIDTHS[1])
    shown = [len([e for e in chrome.find_elements("css selector", selector) if e.is_displayed()]) for selector in (".filters", "th button", "svg[role=img]", ".results tbody tr")]
    chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    check("without its script the page shows all but buttons", shown == [0, 0, 12, 48], shown)


def main():
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        skip_all("there is no chromium, or no chromedriver: Debian's packages chromium and chromium-driver")
    with_selenium()
    from selenium.webdriver.common.keys import Keys  # pylint: disable=import-outside-toplevel
    program, shots = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2]).resolve()
    shutil.rmtree(shots, ignore_errors=True)
    shots.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as name:
        pages = [shots / "three.html", shots / "long.html"]
        for page, files in zip(pages, (REAL, [REAL[0], long_names(pathlib.Path(name))])):
            status, _, err = run(program, "report", *map(str, files), "-o", str(page))
            check(f"{page.name} is written", status == 0, err)
    os.environ.pop("LD_PRELOAD", None)  # of tools/check's sanitizers: for the program, not for the browser
    chrome = start(browser, driver)
    try:
        test_layout(chrome, pages, shots)
        test_sorting(chrome, pages[0], Keys)
        test_filtering(chrome, pages[0], Keys)
        test_keyboard(chrome, pages[0], Keys)
        test_print(chrome, pages[0], shots)
        test_without_script(chrome, pages[0])
    finally:
        chrome.quit()
    done()


main()
