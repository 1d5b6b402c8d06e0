"""The picture of requests in flight in a real browser: it is drawn, zooms, moves and comes back.

usage: test_html_browser.py WEFT       skips where there is no chromium (or no h5py)
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

from demo_jobs import demo_jobs, prompts

# What a person does, and what is then seen; the pixels of the canvas say what is drawn.
PLAY = """<script>//<![CDATA[
window.onload = function () {
  var fig = document.querySelector('.zoom'), c = fig.querySelector('canvas'), said = {};
  var box = c.getBoundingClientRect(), note = fig.querySelector('.note');
  function pixels() {
    var d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, sum = 0;
    for (var i = 0; i < d.length; i += 4) sum = (sum * 31 + d[i] * 7 + d[i + 3]) % 1000003;
    return sum;
  }
  function pointer(name, x, y) {
    c.setPointerCapture = function () {};
    c.dispatchEvent(new PointerEvent(name, {pointerId: 1, clientX: box.left + x,
                                            clientY: box.top + y}));
  }
  said.width = box.width;
  said.page = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  said.plain = getComputedStyle(document.querySelector('.plain')).display;
  said.whole = pixels();
  c.dispatchEvent(new WheelEvent('wheel', {deltaY: -600, clientX: box.left + 50,
                                           clientY: box.top + 30}));
  said.near = pixels();
  pointer('pointermove', 50, 30);
  said.note = note.textContent;
  pointer('pointerdown', 50, 30);
  pointer('pointermove', 20, 90);
  pointer('pointerup', 20, 90);
  said.moved = pixels();
  c.dispatchEvent(new MouseEvent('dblclick'));
  pointer('pointerleave', 0, 0);
  said.back = pixels();
  document.title = JSON.stringify(said);
};
//]]></script></body>"""


def browser():
    return next((path for path in map(shutil.which, ("chromium", "chromium-browser",
                                                     "google-chrome")) if path), None)


def play(program, page, folder, width):
    path = os.path.join(folder, f"play-{width}.html")
    with open(path, "w", encoding="utf-8") as file:
        file.write(page.replace("</body>", PLAY))
    done = subprocess.run([program, "--headless", "--no-sandbox", "--disable-gpu",
                           f"--window-size={width},900", "--virtual-time-budget=3000",
                           f"--user-data-dir={folder}/profile", "--dump-dom", f"file://{path}"],
                          capture_output=True, text=True, timeout=90)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.S)
    assert title and title[1].startswith("{"), done.stderr[-2000:]
    return json.loads(title[1].replace("&amp;", "&"))


def main(weft):
    program = browser()
    if not program:
        print("skipped: no chromium")
        raise SystemExit(77)
    with demo_jobs(weft) as jobs, tempfile.TemporaryDirectory() as folder:
        jobs.pack("x", prompts(150))
        jobs.run("out", "x", engine__max_rows=4)
        jobs.weft_run("report", "out", "--html", "page.html")
        with open(jobs.path("page.html"), encoding="utf-8") as file:
            page = file.read()
        for width in (500, 1200):
            said = play(program, page, folder, width)
            assert said["plain"] == "none" and 300 < said["width"] < width, said
            assert said["page"] == 0, f"the page is wider than {width}"
            assert len({said["whole"], said["near"], said["moved"]}) == 3, said
            assert said["back"] == said["whole"], said
            assert re.match(r"Request \d+ by arrival, at .*, waited .*, prompt .*, generating",
                            said["note"]), said


if __name__ == "__main__":
    main(sys.argv[1])
