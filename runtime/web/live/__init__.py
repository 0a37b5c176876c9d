"""The part of the page that shows what goes on now: sources, pictures, events, health, latency."""
