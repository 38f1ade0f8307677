"""Files that name other files: none but the file itself is opened, neither another one nor the network."""

import re
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import av

# Formats that name other files or addresses, which FFmpeg would open.
_LEADING_ELSEWHERE = {"applehttp", "concat", "concatf", "dash", "hls", "imf", "lavfi", "rtp", "rtsp", "sap", "sdp"}
_LEADING_ELSEWHERE |= {"vobsub", "webm_dash_manifest"}

_FILE = "file:"

# For a file: what it may hold, and by which protocols more may be read.
_ALONE = {
    "format_whitelist": ",".join(sorted(av.formats_available - _LEADING_ELSEWHERE)),
    "protocol_whitelist": "file",
}

# How playlists begin: HLS, FFmpeg's concat script, SDP, DASH, PLS.
_PLAYLIST = re.compile(rb"(?:\xef\xbb\xbf)?\s*(#EXTM3U|ffconcat |v=0\r?\n|\[playlist\]|(<\?xml[^>]*>\s*)?<MPD)")
_PLAYLIST_BYTES = 1_000


def options_of(place: str | BinaryIO) -> dict[str, str]:
    """What keeps a file from making FFmpeg open others."""
    return dict(_ALONE) if isinstance(place, str) and place.startswith(_FILE) else {}


def problem_with(place: str | BinaryIO, error: av.FFmpegError) -> str:
    """Why FFmpeg could not open it, to follow its name."""
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    if isinstance(place, str) and place.startswith(_FILE) and _is_playlist(Path(place.removeprefix(_FILE))):
        return "is a playlist, which names other files, and no video: give those files themselves"
    return f"is not a video: {error.strerror}"


def _is_playlist(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return _PLAYLIST.match(file.read(_PLAYLIST_BYTES)) is not None
    return False
