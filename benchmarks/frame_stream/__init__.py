"""FrameStream: pictures that come whether or not anybody is ready, and how late each one's answer is."""
