"""A camera for the tests: GStreamer's RTSP server on this machine, run by Debian's own Python, which has its bindings.

python3 rtsp_server.py PORT            # 0 lets the system choose; prints the port and serves until it is ended
python3 rtsp_server.py PORT clip.mp4   # that file instead of a bouncing ball, from its beginning to its end
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

_BALL = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=160,height=128,framerate=10/1 "
    "! jpegenc ! rtpjpegpay name=pay0 )"
)
_FILE = '( filesrc location="{}" ! qtdemux ! rtph264pay name=pay0 config-interval=-1 )'


def main() -> None:
    """Serves rtsp://127.0.0.1:PORT/camera."""
    Gst.init(None)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(_FILE.format(sys.argv[2]) if len(sys.argv) > 2 else _BALL)
    factory.set_shared(True)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)  # noqa: T201
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
