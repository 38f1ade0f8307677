"""Whatever a file is called and says: it alone is opened, and nothing that is no file."""

import os
import socket
from pathlib import Path

import pytest
from make import numbers, write_video
from PIL import Image

from firstsight.errors import SourceError
from firstsight.files import open_regular
from firstsight.footage.container import open_video
from firstsight.footage.images import read_image
from firstsight.footage.source import open_source

CAN_LINK_DEVICES = Path("/dev/zero").exists()
PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n",
    "hls with another suffix": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile:{}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{}</BaseURL></MPD>',
}


@pytest.fixture
def fifo(tmp_path):
    """Nobody writes to it: who opens it waits for ever."""
    path = tmp_path / "pipe.mp4"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".m3u8"])
def test_a_playlist_opens_nothing_else(tmp_path, kind, suffix):
    clip = write_video(tmp_path / "clip.ts", numbers(5))
    path = tmp_path / f"list{suffix}"
    path.write_text(PLAYLISTS[kind].format(clip.name))
    with pytest.raises(SourceError, match=rf"^list\{suffix} is a playlist of other files, not a video"):
        open_source(path)


def test_a_playlist_makes_no_connection(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        (tmp_path / "list.mp4").write_text(PLAYLISTS["hls"].format(address))
        with pytest.raises(SourceError, match="is a playlist"):
            open_source(tmp_path / "list.mp4")
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_playlist_in_a_folder_is_left_out_with_a_word(tmp_path):
    write_video(tmp_path / "clip.mp4", numbers(5))
    (tmp_path / "list.mp4").write_text(PLAYLISTS["concat"].format("clip.mp4"))
    with open_source(tmp_path).read() as reading:
        assert len(list(reading)) == 5
    assert [line.split(",")[0] for line in reading.skipped_sources] == ["list.mp4 is a playlist of other files"]


@pytest.mark.parametrize("opened", [open_video, read_image, open_regular])
def test_a_pipe_is_not_opened(fifo, opened):
    with pytest.raises(SourceError, match=r"pipe cannot be read: it is a FIFO, not a file"):
        opened(fifo, name="pipe").__enter__()


def test_a_pipe_that_is_named_says_how_it_is_read(fifo):
    with pytest.raises(SourceError, match=r"neither a file nor a folder but a FIFO: .* give - and redirect it: - < it"):
        open_source(fifo)


@pytest.mark.skipif(not CAN_LINK_DEVICES, reason="needs /dev/zero")
@pytest.mark.parametrize("suffix", [".mp4", ".png"])
def test_a_device_behind_a_link_is_not_opened(tmp_path, suffix):
    path = tmp_path / f"endless{suffix}"
    path.symlink_to("/dev/zero")
    with pytest.raises(SourceError, match="neither a file nor a folder but a device"):
        open_source(path)
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    source = open_source(tmp_path)
    assert [(one.name, one.kind) for one in source.left_out] == [(path.name, "device")]


def test_a_file_that_became_a_pipe_is_not_waited_for(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    Image.new("L", (4, 4)).save(tmp_path / "b.png")
    source = open_source(tmp_path)
    (tmp_path / "a.png").unlink()
    os.mkfifo(tmp_path / "a.png")
    with source.read() as reading:
        assert [frame.source for frame in reading] == ["b.png"]
    assert reading.skipped_sources == ["a.png cannot be read: it is a FIFO, not a file"]
