"""The shipped line on real angiograms, to judge and never to choose: `python -m cathrt.export.demo.judge BUNDLE`.

Stills whose names begin with lca or rca tell their side; of the cine run the side and the filling are known
(data/README.md). Everything goes through the runtime's own sources, preprocessing, engine and model. Not for: tuning.
Whoever runs this counts the looks, and the count is part of the result.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cathrt.export.demo.evaluate import f1_macro
from cathrt.runtime.alert import KeyframeFinding
from cathrt.runtime.bundle import Preprocessing, open_bundle
from cathrt.runtime.bundles import shipped_keys
from cathrt.runtime.config import EngineConfig, LimitsConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.errors import CathrtError, SourceError
from cathrt.runtime.frame import LostFrame
from cathrt.runtime.models.keyframe import KeyframeModel
from cathrt.runtime.ports import Engine
from cathrt.runtime.preprocess import Preprocessor
from cathrt.runtime.sources.discover import Input, discover
from cathrt.runtime.sources.sandbox import open_source

SIDE_OF_PREFIX = {"lca": "left", "rca": "right"}
# The cine's filling, by eye (data/README.md): catheter only before frame 13, the whole tree full from 48 to its end.
BEFORE_CONTRAST, FULL = range(0, 13), range(48, 96)


@dataclass(frozen=True, slots=True)
class Judge:
    """A bundle's engine and meaning."""

    engine: Engine
    model: KeyframeModel
    preprocessing: Preprocessing

    def findings(self, item: Input) -> Iterator[KeyframeFinding]:
        """One finding per frame. Raises SourceError on a frame that cannot be read: real data are known to be whole."""
        source = open_source(item, LimitsConfig())
        tensor = self.engine.input_buffers[self.preprocessing.input]
        try:
            preprocess = Preprocessor(source.run, self.preprocessing)
            for frame in source.frames():
                if isinstance(frame, LostFrame):
                    raise SourceError(f"{item.name}: frame {frame.index} lost ({frame.reason}), expected a whole file")
                preprocess(frame.pixels, tensor)
                yield self.model.finding(self.engine.infer(self.engine.input_buffers))
        finally:
            source.close()


def judge_stills(judge: Judge, folder: Path) -> dict[str, Any]:
    """Sides of single frames. Each still is a run of its own, whatever its neighbours are called."""
    true, found, forced = [], [], []
    for path in sorted(folder.rglob("*.png")):
        side = SIDE_OF_PREFIX.get(path.name[:3].lower())
        if side is None:
            continue
        (finding,) = judge.findings(Input("stills", path.name, (path,)))
        true.append(side)
        found.append(finding.laterality)
        forced.append("left" if judge.model.left_score(finding) >= 0.5 else "right")
    if not true:
        raise SourceError(f"{folder}: no still whose name begins with lca or rca: give the folder of real stills")
    sides = tuple(SIDE_OF_PREFIX.values())
    return {
        "frames": len(true),
        "laterality_f1_macro": round(f1_macro(np.array(found), np.array(true), sides), 4),
        "laterality_f1_macro_forced": round(f1_macro(np.array(forced), np.array(true), sides), 4),
        "unknown_rate": round(found.count("unknown") / len(found), 4),
    }


def judge_cine(judge: Judge, folder: Path) -> dict[str, Any]:
    """Side by vote over the frames that answered, and where P(better) is high."""
    (item,) = discover([folder]).inputs
    findings = list(judge.findings(item))
    votes = {side: sum(finding.laterality == side for finding in findings) for side in SIDE_OF_PREFIX.values()}
    winner = max(votes, key=lambda side: votes[side])
    scores = np.array([finding.key_frame_score for finding in findings])
    return {
        "frames": len(findings),
        "votes": votes,
        "laterality": winner if any(votes.values()) else "unknown",
        "laterality_score": round(votes[winner] / max(1, sum(votes.values())), 4),
        "best_frame": int(scores.argmax()),
        "best_score": round(float(scores.max()), 4),
        "mean_score_before": round(float(scores[list(BEFORE_CONTRAST)].mean()), 4),
        "mean_score_full": round(float(scores[list(FULL)].mean()), 4),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures as JSON. Exit codes: those of cathrt.runtime.errors."""
    parser = argparse.ArgumentParser(prog="python -m cathrt.export.demo.judge", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder with arcade_syntax/ and xa_cine/")
    parser.add_argument(
        "--looks", type=int, required=True, help="how often these weights' kin were judged so, this too"
    )
    parser.add_argument("--trust", default="", help="public key of the bundle, if not the shipped one")
    options = parser.parse_args(arguments)
    try:
        bundle = open_bundle(options.bundle, (options.trust,) if options.trust else shipped_keys())
        engine = open_engine("openvino", bundle, EngineConfig())
        judge = Judge(engine, KeyframeModel(bundle.manifest.keyframe), bundle.manifest.preprocessing)
        found = {
            "looks": options.looks,
            "model_sha256": bundle.manifest.files["model.onnx"],
            "stills": judge_stills(judge, options.data / "arcade_syntax"),
            "cine": judge_cine(judge, options.data / "xa_cine"),
        }
        engine.close()
    except CathrtError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_code
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
