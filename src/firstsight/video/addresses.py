"""Network addresses of footage, in FFmpeg's terms: how long to wait for them, and what to call them."""

import re

# Cameras speak RTSP; streaming programs RTMP; web cameras, players' lists and files HTTP; broadcasts UDP.
_ADDRESS = re.compile(r"(rtsps?|rtmps?|https?|udp|tcp)://\S+", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")
_SECRETS = re.compile(r"\?.*")  # what follows a question mark is as often a key as it is a setting

# Longer than a camera needs to wake up or to send its next keyframe.
TIMEOUT_SECONDS = 10.0


def is_address(text: str) -> bool:
    """Whether the text is an address of footage in a network."""
    return _ADDRESS.fullmatch(text) is not None


def public_name(address: str) -> str:
    """The address without user, password and query, fit for a log."""
    return _SECRETS.sub("", _CREDENTIALS.sub("", address))


def address_options(address: str) -> dict[str, str]:
    """FFmpeg's options for the address: RTSP by TCP, which loses nothing, where the server offers it; no sound.

    A camera that goes on sending sound when its pictures have stopped would otherwise not be noticed. Nor is it looked
    at until its rate is known, which takes seconds.
    """
    is_rtsp = address.lower().startswith("rtsp")
    return {"rtsp_flags": "prefer_tcp", "allowed_media_types": "video", "fpsprobesize": "0"} if is_rtsp else {}
