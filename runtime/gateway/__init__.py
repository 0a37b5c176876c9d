"""The gateway's feed: journals over HTTP, as server-sent events. Not for: receiving objects (listener/)."""
