"""Fills the tables of docs/status.md from the committed rows: `python -m benchmarks.status [--check]`.

A figure is the headline of a benchmark in benchmarks/results/BENCH.jsonl. To add rows, run a benchmark with --json into
that file, then this. --check changes nothing and exits with 1 where the page differs from the rows.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "status.md"
RESULTS = Path(__file__).parent / "results"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """what: in words, for the page. form: format of the value. nth: which headline, where a file has several runs."""

    bench: str
    key: str
    what: str
    form: str = "{:.2f}"
    nth: int = 0


FIGURES = (
    Figure("kernels", "ingest_1024_u16_vs_best_opencv", "preprocessing, 1024² 16 bit, of the best OpenCV pipeline"),
    Figure("kernels", "ingest_1024_u16_vs_limit", "the same, of the time to read and write the memory once", "{:.1f}"),
    Figure("kernels", "ingest_1024_u16_unlike_vs_best_opencv", "the same, each frame unlike the one before"),
    Figure("kernels", "ingest_1024_u8_vs_best_opencv", "preprocessing, 1024² 8 bit, of OpenCV"),
    Figure("kernels", "ingest_512_u8_vs_best_opencv", "preprocessing, 512² 8 bit, of OpenCV"),
    Figure("kernels", "temporal_1024_vs_opencv", "temporal filter, 1024² 16 bit, of OpenCV"),
    Figure("kernels", "temporal_1024_vs_limit", "the same, of the memory's time", "{:.1f}"),
    Figure("kernels", "clahe_1024_u16_vs_opencv", "CLAHE, 1024² 12 bit, of OpenCV"),
    Figure("kernels", "clahe_1024_u8_vs_opencv", "CLAHE, 1024² 8 bit, of OpenCV"),
    Figure("kernels", "subtraction_1024_vs_opencv", "mask subtraction, 1024², of OpenCV"),
    Figure("kernels", "repeats_1024_vs_numpy", "exact repeat test, 1024², of `np.array_equal`"),
    Figure("kernels", "clip_16x512_vs_torch", "clip of 16 frames of 512², of torch"),
    Figure("kernel_resources", "kernels", "CUDA kernels", "{:.0f}"),
    Figure("kernel_resources", "sms_compiled", "SMs each is compiled for", "{:.0f}"),
    Figure("kernel_resources", "spills_total", "bytes spilled by all of them", "{:.0f}"),
    Figure("line", "overhead_p50_ms", "the line beyond decoding, preprocessing and inference, 30 frames/s, p50, ms"),
    Figure("line", "overhead_p99_ms", "the same, p99, ms"),
    Figure("line", "frames_accounted", "frames that ended as exactly one verdict, share", "{:.3f}"),
    Figure("frame_stream", "overhead_p50_ms", "live: capture to verdict beyond preprocessing and inference, p50, ms"),
    Figure("frame_stream", "live_p50_vs_best_loop", "live: p50 to the verdict, of the best plain loop"),
    Figure("frame_stream", "frames_accounted", "live: pictures that ended exactly once, share", "{:.3f}"),
    Figure("soak", "rss_slope_mb_per_h", "soak: memory of all processes grows by, MB an hour"),
    Figure("soak", "fd_slope_per_h", "the same: descriptors, an hour"),
    Figure("soak", "thread_slope_per_h", "the same: threads, an hour"),
    Figure("soak", "p99_drift", "the same: live p99 in the last quarter, of the first"),
    Figure("soak", "frames_accounted", "the same: live pictures that ended exactly once, share", "{:.3f}"),
    Figure("soak", "delivered_equals_journal", "the same: readers have every record; 1 is yes", "{:.0f}"),
    Figure("network_fuzz", "cases", "hostile conversations at all doors", "{:.0f}"),
    Figure("network_fuzz", "findings", "findings among them", "{:.0f}"),
    Figure("network_fuzz", "most_rss_growth_mb", "the same: most that a process grew after its warm-up, MB", "{:.1f}"),
    Figure("store_to_confirmed", "store_to_confirmed_s", "96 frames of 512² by DICOM, last byte to confirmed, s"),
    Figure("store_to_confirmed", "store_to_confirmed_one_core_busy_s", "the same beside one busy core, s"),
    Figure("objects", "objects", "DICOM objects of 200 generated studies, every kind and character set", "{:.0f}"),
    Figure("objects", "iod_errors", "the same: errors that dciodvfy and dcentvfy find", "{:.0f}"),
    Figure("objects", "roundtrip_equal", "the same: read and written again by pydicom, equal, share", "{:.3f}"),
    Figure("kills", "kills", "kill -9 of live, study, gateway and supervisor under load, at random", "{:.0f}"),
    Figure("kills", "claims_held", "the same: claims that hold afterwards, share", "{:.3f}"),
    Figure("kills", "restart_p50_s", "the same: kill of live to the next durable verdict, p50, s", "{:.1f}"),
    Figure("kills", "restart_max_s", "the same, longest, s", "{:.1f}"),
    Figure("page", "journal_to_picture_p99_ms", "page, 5 readers, 15 a second: durable to received, p99, ms", "{:.0f}"),
    Figure("page", "live_p99_page_vs_without", "the same: live p99, of that without readers", "{:.2f}"),
    Figure("page", "frames_seen", "the same: pictures that a reader got, share", "{:.3f}"),
    Figure("replay", "replay_vs_plain_loop", "replaying two archives, of a plain loop of pydicom and OpenVINO"),
    Figure("replay", "replay_vs_decode_limit", "the same, of decoding them alone", "{:.1f}"),
    Figure("export", "export_atto_s", "an Atto of random weights to a float32 OpenVINO bundle, s", "{:.0f}"),
    Figure("export", "export_second_precision_s", "the same weights in int8 after it, s", "{:.0f}"),
    Figure("journal", "append_vs_dumps", "`append()` of a verdict, of `json.dumps` of the same dict", "{:.1f}"),
    Figure("journal", "append_vs_sqlite_insert", "the same, of a bare SQLite insert", "{:.1f}"),
    Figure("engines", "int8_vs_openvino_plain_bf16", "ConvNeXt-Base int8, of OpenVINO bf16 on a plain export"),
    Figure("engines", "int8_vs_best_nncf", "ConvNeXt-Base int8, of the best of NNCF's on a plain export"),
    Figure("engines", "int8_vs_ort_fp32", "ConvNeXt-Base int8, of ONNX Runtime fp32"),
    Figure("engines", "bf16_vs_openvino_plain_bf16", "ConvNeXt-Base bf16, of OpenVINO bf16 on a plain export"),
    Figure("engines", "int8_vs_limit", "ConvNeXt-Base int8, of its layers' products alone"),
    Figure("report", "prefill_vs_best_peer", "Gemma3-4B int4, prompt of 600 tokens: speed, of the best peer"),
    Figure("report", "decode_vs_best_peer", "the same, tokens after it"),
    Figure("report", "draft_vs_best_peer", "the same, time to a draft of 150 tokens, of the best single peer"),
    Figure("report", "vision_vs_limit", "the same, a picture of 896², of the limit", "{:.1f}"),
    Figure("report", "memory_vs_least_peer", "the same, memory, of the least peer's"),
    Figure("export_graph", "nchw_vs_plain_openvino_fp32_tiny", "Tiny, our graph, of a plain export: OpenVINO fp32"),
    Figure("export_graph", "nchw_vs_plain_openvino_bf16_tiny", "the same, OpenVINO bf16"),
    Figure("export_graph", "nchw_vs_plain_onnxruntime_fp32_tiny", "the same, ONNX Runtime fp32"),
    Figure("completeness", "jpeg_lossless_1024_share", "check that JPEG Lossless is whole, 1024², of its decoding"),
    Figure("completeness", "jpeg2000_1024_share", "the same, JPEG 2000", "{:.4f}"),
    Figure("completeness", "rle_1024_share", "the same, RLE"),
    Figure("bundle", "open_vs_hash", "opening the shipped bundle, of hashing its files"),
    Figure("bundle", "open_large_resident_mib", "memory of a process that opened a bundle of 1 GiB, MiB", "{:.0f}"),
    Figure("bundle", "openvino_private_vs_weights", "private memory of an OpenVINO engine, of weights in another file"),
    Figure("bundle", "onnxruntime_private_vs_weights", "the same, ONNX Runtime"),
    Figure("device_waits", "asking_adds_ms", "stub: a wait with a deadline adds, ms", "{:.4f}"),
    Figure("device_waits", "thread_adds_ms", "stub: the engine's own thread adds to a frame, ms", "{:.3f}"),
    Figure("device_waits", "thread_adds_ms", "the same at real-time priority, ms", "{:.3f}", 1),
    Figure("phantom", "frames_per_second_512_two_cores", "phantom, 512², two processes, frames/s", "{:.0f}"),
    Figure("phantom", "chord_map_vs_numpy", "its chord projector, of the same in NumPy"),
    Figure("accuracy", "real_laterality_f1", "side of real stills of known side, F1"),
    Figure("accuracy", "real_laterality_f1_forced", "the same, always answering"),
    Figure("accuracy", "real_unknown_rate", "the same, share of \"unknown\""),
    Figure("accuracy", "real_frames", "how many stills", "{:.0f}"),
    Figure("accuracy", "real_better_recall", "stills chosen for reading that pass as key frames"),
    Figure("accuracy", "phantom_runs", "held-out phantom runs", "{:.0f}"),
    Figure("accuracy", "phantom_laterality_f1", "side of their frames, F1", "{:.3f}"),
    Figure("accuracy", "phantom_keyframe_hit3", "runs whose first key frame lies within 3 of a best one", "{:.3f}"),
    Figure("accuracy", "phantom_frangi_hit3", "the same, of the frame that Frangi's filter chooses", "{:.3f}"),
    Figure("accuracy", "phantom_vesselness_hit3", "the same, of our vesselness kernel", "{:.3f}"),
    Figure("accuracy", "phantom_darkening_hit3", "the same, of the greatest darkening since the run began", "{:.3f}"),
    Figure("accuracy", "phantom_regret", "readability that the first key frame lacks, of the run's best", "{:.3f}"),
    Figure("accuracy", "phantom_runs_without", "coronary runs without a key frame", "{:.4f}"),
    Figure("accuracy", "phantom_false_keyframe_rate", "runs without coronaries that get a key frame", "{:.4f}"),
    Figure("accuracy", "phantom_named_side_rate", "the same that get a side", "{:.4f}"),
    Figure("accuracy", "domain_rejected", "generated pictures that are no angiograms, refused", "{:.3f}"),
    Figure("study_accuracy", "auroc_significant_stenosis", "generated patients: significant stenosis, AUROC"),
    Figure("study_accuracy", "auroc_chronic_total_occlusion", "the same, chronic total occlusion"),
    Figure("study_accuracy", "auroc_calcification", "the same, calcification"),
    Figure("study_accuracy", "auroc_dominance", "the same, left dominance"),
    Figure("study_accuracy", "gain_over_best_view", "the same, all: ahead of the best single view by"),
    Figure("study_accuracy", "stenosis_mae_percent", "the same, percent stenosis, mean error", "{:.1f}"),
    Figure("study_accuracy", "stenosis_mae_constant", "the same, of the best constants", "{:.1f}"),
    Figure("realism", "background_distance_vs_floor", "phantom to real stills: background, of two halves' distance"),
    Figure("realism", "edge_spectrum_distance_vs_floor", "the same, edges", "{:.1f}"),
    Figure("realism", "vessel_distance_vs_floor", "the same, vessels", "{:.1f}"),
    Figure("realism", "noise_sd_distance_vs_floor", "the same, noise", "{:.1f}"),
    Figure("realism", "told_apart", "balanced accuracy of telling real from phantom"),
)  # fmt: skip
# Of benchmarks/roofline.py: column, case, keys.
LOWER_BOUNDS = (
    ("live frame, 1024²", "live frame 1024_u16, convnext_base", ("floor_ms", "int8_floor_ms")),
    ("ConvNeXt-Base", "convnext_base", ("floor_ms", "int8_floor_ms")),
    ("clip, MViTv2-S", "MViTv2-S clip encoder, 16x224² (DeepCORO-CLIP)", ("floor_ms", "int8_floor_ms")),
    ("Gemma3-4B, 600 tokens in", "Gemma3-4B prefill, 600 tokens", ("floor_ms", "int8_floor_ms")),
    ("one token out", "Gemma3-4B decode, one token", ("floor_ms", "int8_floor_ms")),
)


def rows_of(bench: str, results: Path = RESULTS) -> list[Row]:
    """The committed rows of a benchmark; none where it has not been run."""
    path = results / f"{bench}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def figures_table(results: Path = RESULTS) -> Iterator[str]:
    """One line a figure that was measured. Raises KeyError where a headline lacks a figure of ours."""
    yield "| figure | | benchmark |"
    yield "|---|---|---|"
    for figure in FIGURES:
        if (row := _headline(rows_of(figure.bench, results), figure.nth)) is not None:
            value = figure.form.format(row["headline"][figure.key])
            if ends := row.get("intervals_95", {}).get(figure.key):
                value += " ({} to {})".format(*(figure.form.format(end) for end in ends))
            yield f"| {figure.what} | {value} | `{figure.bench}` |"


def machines_table(results: Path = RESULTS) -> Iterator[str]:
    """One line a benchmark: where and of what it was measured."""
    yield "| benchmark | machine | commit |"
    yield "|---|---|---|"
    for bench in dict.fromkeys(figure.bench for figure in FIGURES):
        if (row := _headline(rows_of(bench, results), 0)) is not None:
            machine = row["machine"]
            load = f", load {machine['load_average'][0]:.1f}" if machine["load_average"][0] >= 1.0 else ""
            cores = f"{machine['cores_used']} of {machine['cores']} cores"
            yield f"| `{bench}` | {machine['cpu']}, {cores}{load} | {row['commit'][:12]} |"


def lower_bounds_table(results: Path = RESULTS) -> Iterator[str]:
    """One line a GPU, milliseconds."""
    rows = rows_of("roofline", results)
    yield f"| GPU | {' | '.join(column for column, _, _ in LOWER_BOUNDS)} |"
    yield f"|---|{'---|' * len(LOWER_BOUNDS)}"
    for device in dict.fromkeys(row["device"] for row in rows if "device" in row):
        found = {row["case"]: row for row in rows if row.get("device") == device}
        cells = [" / ".join(f"{found[case][key]:.2g}" for key in keys) for _, case, keys in LOWER_BOUNDS]
        yield f"| {device} | {' | '.join(cells)} |"


TABLES = {"figures": figures_table, "machines": machines_table, "lower bounds": lower_bounds_table}


def filled(page: str, results: Path = RESULTS) -> str:
    """The page with its tables made anew. Raises ValueError where a marker is missing."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        if begin not in page or end not in page:
            raise ValueError(f"the page lacks {begin.strip()} or {end.strip()}")
        before, after = page.split(begin)[0], page.split(end)[1]
        page = before + begin + "\n".join(table(results)) + "\n" + end + after
    return page


def _headline(rows: Sequence[Row], nth: int) -> Row | None:
    found = [row for row in rows if "headline" in row]
    return found[nth] if found else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 where the page differs")
    options = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    wanted = filled(page)
    if options.check:
        if page != wanted:
            print("docs/status.md differs from benchmarks/results: run python -m benchmarks.status", file=sys.stderr)
        return int(page != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
