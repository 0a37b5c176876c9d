"""Every metric that cathrt exposes: docs/metrics.md explains them. Not for: their values (processes/figures.py)."""

from __future__ import annotations

from cathrt.runtime.metrics.family import Metric

_SOURCE, _PROCESS, _JOURNAL, _OUTLET = ("source",), ("process",), ("journal",), ("outlet", "kind")

BUILD = Metric("cathrt_build_info", "gauge", "1", "Version of cathrt that runs. Always 1.", ("version",))
HEALTHY = Metric("cathrt_healthy", "gauge", "0 or 1", "1 if `cathrt health` has no reason against it, else 0.")
REASONS = Metric("cathrt_health_reasons", "gauge", "reasons", "Reasons why it is not well.")

RECEIVED = Metric("cathrt_pictures_received_total", "counter", "pictures", "Pictures that came from a source.", _SOURCE)
HELD = Metric("cathrt_pictures_held_total", "counter", "pictures", "Of these, shown outside any run.", _SOURCE)
FRAMES = Metric("cathrt_frames_total", "counter", "frames", "Of these, given to the line.", _SOURCE)
VERDICTS = Metric(
    "cathrt_verdicts_total", "counter", "frames", "Frames by how they ended, durable.", ("source", "outcome")
)
LOST = Metric("cathrt_frames_lost_total", "counter", "frames", "Frames that a killed process had in hand.", _SOURCE)
REFUSED = Metric(
    "cathrt_frames_refused_total", "counter", "frames", "Frames of runs that the line could not take.", _SOURCE
)
RUNS = Metric("cathrt_runs_total", "counter", "runs", "Runs that began.", _SOURCE)
OPENED = Metric("cathrt_source_opened_total", "counter", "times", "Times that a source was opened.", _SOURCE)
HUNG = Metric("cathrt_source_calls_hung_total", "counter", "calls", "Calls into a source that never returned.", _SOURCE)
WAITING = Metric(
    "cathrt_pictures_waiting", "gauge", "pictures", "Pictures that are neither held nor given to the line yet.", _SOURCE
)
UNJUDGED = Metric("cathrt_frames_unjudged", "gauge", "frames", "Frames without an end yet.", _SOURCE)
PICTURE_AGE = Metric("cathrt_picture_age_seconds", "gauge", "s", "Since the newest picture.", _SOURCE)
VERDICT_AGE = Metric("cathrt_verdict_age_seconds", "gauge", "s", "Since the newest durable verdict.", _SOURCE)
INFERENCE_AGE = Metric(
    "cathrt_inference_age_seconds", "gauge", "s", "Since the newest verdict with an inference, or dummy inference.",
    _SOURCE,
)  # fmt: skip
STAGE = Metric(
    "cathrt_stage_seconds", "histogram", "s", "Time of each stage of the frames that were judged (MET, LATE).",
    ("process", "source", "stage"),
)  # fmt: skip
ENGINE = Metric(
    "cathrt_engine_info", "gauge", "1", "The engine that judges now; none where there is no live AI. Always 1.",
    ("source", "model", "engine", "manifest_sha256"),
)  # fmt: skip
RUNG = Metric(
    "cathrt_engine_rung", "gauge", "rung", "Rung of the ladder that judges, 0 for the best.", ("source", "model")
)
LIVE_AI = Metric(
    "cathrt_live_ai",
    "gauge",
    "0 or 1",
    "1 if frames are judged, 0 if no engine of the ladder works.",
    ("source", "model"),
)

PROCESS_UP = Metric(
    "cathrt_process_up", "gauge", "0 or 1", "1 if a process runs and gave its heartbeat in time, else 0.", _PROCESS
)
RESTARTS = Metric(
    "cathrt_process_restarts_total", "counter", "restarts", "Times that a process was started again.", _PROCESS
)
HEARTBEAT_AGE = Metric("cathrt_process_heartbeat_age_seconds", "gauge", "s", "Since its last heartbeat.", _PROCESS)

JOURNAL_ROWS = Metric("cathrt_journal_rows", "gauge", "records", "Number of the newest durable record.", _JOURNAL)
JOURNAL_BYTES = Metric(
    "cathrt_journal_bytes", "gauge", "bytes", "Size of a journal with its write-ahead log.", _JOURNAL
)
DISK_FREE = Metric("cathrt_disk_free_bytes", "gauge", "bytes", "Free on the disk of the state folder.")
FEED_READERS = Metric("cathrt_feed_readers", "gauge", "streams", "Streams of the feed that are open.")

OUTLET_BEHIND = Metric(
    "cathrt_outlet_rows_behind", "gauge", "records", "Records that an outlet has not delivered yet.", _OUTLET
)
OUTLET_OLDEST = Metric(
    "cathrt_outlet_oldest_seconds", "gauge", "s", "Age of the oldest record that waits for an outlet.", _OUTLET
)
OUTLET_DELIVERED = Metric(
    "cathrt_outlet_delivered_total", "counter", "records", "Records that an outlet has delivered.", _OUTLET
)
OUTLET_FAILED = Metric("cathrt_outlet_failed_total", "counter", "attempts", "Attempts to deliver that failed.", _OUTLET)
OUTLET_DEAD = Metric(
    "cathrt_outlet_dead_letters", "gauge", "records", "Records that an outlet gave up and a person must look at.",
    _OUTLET,
)  # fmt: skip

METRICS = (
    BUILD, HEALTHY, REASONS,
    RECEIVED, HELD, FRAMES, VERDICTS, LOST, REFUSED, RUNS, OPENED, HUNG, WAITING, UNJUDGED,
    PICTURE_AGE, VERDICT_AGE, INFERENCE_AGE, STAGE, ENGINE, RUNG, LIVE_AI,
    PROCESS_UP, RESTARTS, HEARTBEAT_AGE,
    JOURNAL_ROWS, JOURNAL_BYTES, DISK_FREE, FEED_READERS,
    OUTLET_BEHIND, OUTLET_OLDEST, OUTLET_DELIVERED, OUTLET_FAILED, OUTLET_DEAD,
)  # fmt: skip
