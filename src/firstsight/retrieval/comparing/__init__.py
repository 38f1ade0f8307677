"""One thing against another: an anchor, pictures, whole videos."""
