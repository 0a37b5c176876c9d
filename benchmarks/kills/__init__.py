"""kill -9 of the processes of `cathrt run`, at random and under load: `python -m benchmarks.kills`."""
