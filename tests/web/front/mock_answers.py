"""The answers of the box on the stage, in the shapes that docs/page.md describes.

Not for: deciding what is on the stage (mock.py).
"""

from __future__ import annotations

import math
import uuid
from typing import TYPE_CHECKING, Any

from cathrt.runtime.alert import NOTICE, WATERMARK, WATERMARK_JA

if TYPE_CHECKING:
    from tests.web.front.mock import Stage

AT = "2026-12-01T12:13:59.100+00:00"
FRAMES = 64
STUDY = "0f3c9d21a4b84d5f9a3e7c1b2d604e58"
ABSENT = (
    {"part": "quality_model", "why": "No model for picture quality is given.", "why_ja": "画質のモデルがありません。"},
)
_RUNS = [str(uuid.uuid5(uuid.NAMESPACE_OID, f"run {number}")) for number in range(1, 5)]


def _id(*parts: object) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "|".join(map(str, parts))))


def health(reasons: tuple[str, ...]) -> dict[str, Any]:
    """A health document."""
    names = ("live", "study", "gateway")
    processes = [
        {"name": name, "state": "running", "restarts": 0, "heartbeat_age_s": 0.2, "reasons": [], "notes": []}
        for name in names
    ]
    return {
        "healthy": not reasons,
        "reasons": list(reasons),
        "notes": ["live: not granted: real-time priority"],
        "processes": processes,
        "sources": [],
        "disk_free_mib": 204_800,
        "notice": NOTICE,
    }


def live(stage: Stage, now_ns: int) -> dict[str, Any]:
    """The answer of /api/live."""
    return {
        "now_ns": now_ns,
        "now": AT,
        "events_after": str(len(stage.log)),
        "sources": [_source(stage, name) for name in stage.sources],
        "health": stage.health(),
        "absent": list(stage.absent),
        "notice": NOTICE,
    }


def _source(stage: Stage, name: str) -> dict[str, Any]:
    engine = {
        "kind": "keyframe",
        "engine": "openvino" if stage.live_ai else None,
        "rung": stage.rung if stage.live_ai else None,
        "rungs": 2,
        "live_ai": stage.live_ai,
        "reason": "start" if stage.live_ai and stage.rung == 0 else "hung",
        "detail": "",
        "since_s": 12.0,
    }
    begun = any(one["record"].get("type") == "pass" for one in stage.log)
    run = {"run_id": _id("run", name), "pass_id": _id("pass", name), "frames": 52, "ended": False}
    return {
        "name": name,
        "kind": "phantom",
        "rate_hz": 15.0,
        "budget_ms": 66.7,
        "live_ai": stage.live_ai,
        "state": "picture" if stage.live_ai else "no_ai",
        "text": "Live: every frame is judged" if stage.live_ai else "NO LIVE AI: frames are not judged",
        "text_ja": "ライブ：全フレームを判定中" if stage.live_ai else "AI判定なし：フレームは判定されていません",
        "picture_age_s": 0.04,
        "verdict_age_s": 0.05,
        "inference_age_s": 0.05,
        "counts": {},
        "engines": [engine],
        "run": run if begun else None,
        "alerts": [
            {"seq": 1, "at": AT, "record": record} for record in stage.alerts if record["pass_id"] == run["pass_id"]
        ],
    }


def pass_record(source: str) -> dict[str, Any]:
    """A run begins."""
    return {
        "type": "pass",
        "id": _id("pass record", source),
        "pass_id": _id("pass", source),
        "run_id": _id("run", source),
        "source": f"{source} 12:13:58",
        "rate": "live",
        "attempt": 1,
        "models": [],
        "notice": NOTICE,
    }


def summary(source: str) -> dict[str, Any]:
    """A run has ended."""
    shown = _run(0, _RUNS[0], stored=False)
    return {
        "type": "run",
        "id": _id("summary", source),
        "pass_id": _id("pass", source),
        "run_id": _id("run", source),
        "positioner_primary_angle_deg": 45.0,
        "positioner_secondary_angle_deg": -30.0,
        "flags": [],
        "results": [{**shown["results"][0], "best_is_poor": True}],
        "notice": NOTICE,
    }


def verdict(source: str, frame: int, score: float, captured_ns: int, side: str) -> dict[str, Any]:
    """A frame was judged."""
    finding = {
        "kind": "keyframe",
        "engine": "openvino",
        "score": score,
        "laterality": side,
        "laterality_score": 0.97,
        "class_scores": [],
        "outside": None,
    }
    return {
        "type": "verdict",
        "id": _id("verdict", source, frame),
        "pass_id": _id("pass", source),
        "run_id": _id("run", source),
        "frame_index": frame,
        "outcome": "MET",
        "reason": None,
        "findings": [finding],
        "latency_ms": {"end_to_end": 24.0},
        "retry": False,
        "acquired_ns": captured_ns,
        "notice": NOTICE,
    }


def alert(source: str, frame: int, score: float, side: str, *, late: bool) -> dict[str, Any]:
    """A key frame is announced."""
    words = {"left": ("left coronary", "左冠動脈"), "right": ("right coronary", "右冠動脈")}[side]
    return {
        "type": "alert",
        "id": _id("alert", source, frame),
        "pass_id": _id("pass", source),
        "run_id": _id("run", source),
        "frame_index": frame,
        "raised_at_frame": frame + 5,
        "verdict_id": _id("verdict", source, frame),
        "late": late,
        "live_until": None,
        "engine": "openvino",
        "news": {
            "kind": "key_frame",
            "score": score,
            "text": f"key frame, {words[0]}, score {score:.2f}",
            "text_ja": f"キーフレーム、{words[1]}、スコア {score:.2f}",
            "laterality": side,
        },
        "notice": NOTICE,
    }


def latency(source: str, now_ns: int, budget_ms: float) -> dict[str, Any]:
    """Times of the last minute, with two late frames and one that was dropped."""
    points: list[list[Any]] = []
    for frame in range(900):
        acquired_ns = now_ns - (900 - frame) * 66_700_000
        took = 24.0 + 4.0 * math.sin(frame / 7.0) + (frame * 7919 % 13) * 0.4
        points.append([acquired_ns, took, "MET", frame])
    points[300][1:3] = [81.0, "LATE"]
    points[610][1:3] = [94.0, "LATE"]
    points[615][1:3] = [None, "DROPPED"]
    return {
        "source": source,
        "now_ns": now_ns,
        "budget_ms": budget_ms,
        "points": points,
        "late": 2,
        "judged": 899,
        "dropped": 1,
        "failed": 0,
        "p50_ms": 25.1,
        "p99_ms": 31.4,
    }


def runs(stored: bool) -> list[dict[str, Any]]:
    """Four runs, newest first."""
    return [_run(number, run_id, stored) for number, run_id in enumerate(_RUNS)]


def _run(number: int, run_id: str, stored: bool) -> dict[str, Any]:
    left = number % 2 == 0
    primary, secondary = ((45.0, -30.0), (-35.0, 2.0), (-8.0, 38.0), (42.0, 3.0))[number % 4]
    text, text_ja = ("left coronary artery", "左冠動脈") if left else ("right coronary artery", "右冠動脈")
    result = {
        "kind": "keyframe",
        "text": f"{text}, score 0.97; key frames: 31 (0.91), 44 (0.83)",
        "text_ja": f"{text_ja}、スコア 0.97、キーフレーム 31 (0.91)、44 (0.83)",
        "marked_frames": [31, 44],
        "marked_scores": [0.91, 0.83],
        "laterality": "left" if left else "right",
        "best_readability": 0.91,
        "cautions": ["angle_unusual_for_side"] if number == 2 else [],
    }
    return {
        "run_id": run_id,
        "pass_id": _id("pass", run_id),
        "journal": "study" if stored else "live",
        "result": "confirmed" if stored else "live",
        "source": "1.2.3.4" if stored else f"A 12:1{number}:58",
        "attempt": 1,
        "rate": "max",
        "seq": 12 + number,
        "state": "complete",
        "began_at": AT,
        "frames": FRAMES,
        "verdicts": {"MET": FRAMES - 3, "LATE": 1, "DROPPED": 1, "FAILED": 1, "DUPLICATE": 0},
        "alerts": 2,
        "results": [result],
        "view": {
            "primary_deg": primary,
            "secondary_deg": secondary,
            "text": _angles(primary, secondary),
        },
        "frame_rate_hz": 15.0,
        "frame_rate_origin": "CineRate",
        "flags": [],
        "latency_ms": {"end_to_end": {"p50": 24.0, "p95": 29.0, "p99": 31.0, "max": 94.0}},
        "study_uid": None,
        "pixels": {
            "stored": stored,
            "why": "" if stored else "Pictures of live runs are not stored.",
            "why_ja": "" if stored else "ライブのランの画像は保存されません。",
        },
        "notice": NOTICE,
    }


def _angles(primary: float, secondary: float) -> str:
    along, across = "LAO" if primary > 0 else "RAO", "CRA" if secondary > 0 else "CAU"
    return f"{along} {abs(primary):.0f}° {across} {abs(secondary):.0f}°"


def run(run_id: str, stored: bool) -> dict[str, Any]:
    """One run with its curve."""
    number = _RUNS.index(run_id) if run_id in _RUNS else 0
    scores: list[float | None] = [
        round(max(0.02, 0.92 * math.exp(-(((frame - 33) / 14.0) ** 2)) - 0.06 * abs(math.sin(frame / 2.2))), 3)
        for frame in range(FRAMES)
    ]
    outcomes = ["M"] * FRAMES
    for frame, letter in ((5, "F"), (18, "D"), (40, "L")):
        outcomes[frame] = letter
    scores[5] = scores[18] = None
    raised = [{"seq": 1, "record": alert("A", 31, 0.91, "left", late=False)}]
    raised.append({"seq": 2, "record": alert("A", 44, 0.83, "left", late=True)})
    return {
        **_run(number, run_id, stored),
        "first_frame": 0,
        "outcomes": "".join(outcomes),
        "end_to_end_ms": [24.0] * FRAMES,
        "models": [{"kind": "keyframe", "columns": {"score": scores}}],
        "alert_records": raised,
        "marked": [
            {"kind": "keyframe", "rank": 1, "frame_index": 31, "score": 0.91},
            {"kind": "keyframe", "rank": 2, "frame_index": 44, "score": 0.83},
        ],
        "not_judged": [{"frame_index": 5, "outcome": "FAILED", "reason": "the data are damaged"}],
        "truncated": False,
        "passes": [],
    }


def studies(stage: Stage) -> list[dict[str, Any]]:
    """One study."""
    return [
        {
            "study": STUDY,
            "revision": 1,
            "ended": True,
            "newest_at": AT,
            "runs": 2,
            "unjudged": 0,
            "key_frames": 3,
            "findings": len(_FINDINGS),
            "draft": "written",
            "decisions": len(stage.decisions),
            "review": "finished" if stage.reviews else "open" if stage.decisions else "none",
            "text": "2 runs, ended",
            "text_ja": "2ラン、検査終了",
        }
    ]


_FINDINGS = (
    ("LAD", "prox_lad", "significant stenosis", "probability", 0.83, "", 0.11, 3.2),
    ("LAD", "prox_lad", "stenosis", "amount", 74.6, "%", None, None),
    ("LAD", "prox_lad", "calcification", "probability", 0.64, "", 0.4, 0.9),
    ("RCA", "prox_rca", "significant stenosis", "probability", 0.04, "", 0.11, -1.4),
    ("RCA", "prox_rca", "stenosis", "amount", 21.8, "%", None, None),
    ("LCX", "prox_lcx", "chronic total occlusion", "probability", 0.02, "", 0.2, -2.7),
)
_LABELS = {
    "significant stenosis": ("significant stenosis", "有意狭窄"),
    "calcification": ("calcified", "石灰化あり"),
    "stenosis": ("", ""),
    "chronic total occlusion": ("", ""),
}


def study(stage: Stage, name: str) -> dict[str, Any]:
    """The answer of one study with what was decided so far."""
    standing = {_key(one["thing"]): one for one in stage.decisions}
    facts = [
        {
            "number": 1,
            "text": "proximal LAD (segment 6): 75 %",
            "text_ja": "左前下行枝近位部（#6）：75 %",
            "side": "left",
            "artery": "lad",
            "segment": "6",
            "frames": [{"run_id": _RUNS[0], "frame_index": 31, "score": 0.91}],
            "findings": [{"bundle": "deepcoro", "finding": "prox_lad significant stenosis"}],
            "linked_by": "side",
        },
        {
            "number": 2,
            "text": "right dominance",
            "text_ja": "右冠動脈優位",
            "side": "right",
            "artery": None,
            "segment": None,
            "frames": [{"run_id": _RUNS[1], "frame_index": 31, "score": 0.88}],
            "findings": [],
            "linked_by": "side",
        },
    ]
    said: tuple[tuple[str, str, list[int]], ...] = (
        ("There is a 75% stenosis in segment 6 (proximal LAD).", "左前下行枝近位部（#6）に75%狭窄を認める。", [1]),
        ("The right coronary artery is dominant.", "右冠動脈優位である。", [2]),
        ("No other narrowing was seen.", "その他の狭窄は認めない。", []),
    )
    sentences = [{"language": "en", "text": en, "start": 0, "end": len(en), "facts": links} for en, _, links in said]
    sentences += [{"language": "ja", "text": ja, "start": 0, "end": len(ja), "facts": links} for _, ja, links in said]
    draft = {
        "record_id": "draft-1",
        "withheld": None,
        "watermark": WATERMARK,
        "watermark_ja": WATERMARK_JA,
        "text": "",
        "text_ja": "",
        "text_sha256": "0" * 64,
        "text_ja_sha256": "1" * 64,
        "bundle": "drafts",
        "manifest_sha256": "2" * 64,
        "sentences": sentences,
        "facts": facts,
        "struck": [{"language": "en", "reason": "advice", "detail": "", "sentence": "Stenting is advised."}],
        "omitted": [],
        "signoff": stage.signoff,
    }
    return {
        "study": name,
        "study_instance_uid": "1.2.3",
        "revision": 1,
        "ended": True,
        "unjudged": 0,
        "newest_at": AT,
        "patient": {
            "name": "Phantom^Taro",
            "name_ideographic": "模型^太郎",
            "name_phonetic": "もけい^たろう",
            "id": "PHANTOM-3",
            "birth_date": "19500101",
            "sex": "M",
            "accession_number": "A-17",
            "study_date": "20261201",
            "study_time": "081530",
            "study_description": "冠動脈造影",
        },
        "runs": [_study_run(number, run_id, standing) for number, run_id in enumerate(_RUNS[:2], 1)],
        "findings": [_finding(*one, standing) for one in _FINDINGS],
        "readings": [
            {
                "record_id": "reading-1",
                "bundle": "deepcoro",
                "provisional": False,
                "withheld": None,
                "text": "significant stenosis: prox_lad; calcified: prox_lad",
                "text_ja": "有意狭窄: prox_lad; 石灰化: prox_lad",
                "runs": [],
            }
        ],
        "draft": draft,
        "results": _decidable({"kind": "results"}, standing),
        "decisions": stage.decisions,
        "signoffs": [],
        "reviews": stage.reviews,
        "review": {
            "can_finish": bool(stage.decisions),
            "why": "" if stage.decisions else "Nothing was decided yet.",
            "why_ja": "" if stage.decisions else "まだ何も判断されていません。",
            "what": "accepted",
            "decisions": [one["id"] for one in stage.decisions],
            "signoffs": [],
            "shown": ["record-1"],
            "follows": None,
        },
        "absent": [],
        "notice": NOTICE,
    }


def _thing(**given: Any) -> dict[str, Any]:
    return {"kind": None, "run_id": None, "frame_index": None, "bundle": None, "finding": None, **given}


def _key(thing: dict[str, Any]) -> str:
    return "|".join(str(thing.get(name)) for name in ("kind", "run_id", "frame_index", "bundle", "finding"))


def _decidable(given: dict[str, Any], standing: dict[str, Any]) -> dict[str, Any]:
    thing = _thing(**given)
    found = standing.get(_key(thing))
    return {
        "thing": thing,
        "state": found["what"] if found else "undecided",
        "decision": found["id"] if found else None,
        "shown": ["record-1"],
        "follows": found["id"] if found else None,
    }


def _correction(given: dict[str, Any], standing: dict[str, Any]) -> dict[str, Any]:
    found = standing.get(_key(_thing(**given)))
    return (found or {}).get("correction") or {}


def _study_run(number: int, run_id: str, standing: dict[str, Any]) -> dict[str, Any]:
    side = {"kind": "side", "run_id": run_id}
    model = "left" if number == 1 else "right"
    frames = []
    for rank, frame in enumerate((31, 44) if number == 1 else (31,), 1):
        one = {"kind": "key_frame", "run_id": run_id, "frame_index": frame}
        instead = _correction(one, standing).get("frame_index", frame)
        frames.append(
            {
                **_decidable(one, standing),
                "frame_index": frame,
                "rank": rank,
                "score": 0.91 - 0.08 * (rank - 1),
                "by": "model",
                "now": instead,
            }
        )
    return {
        "number": number,
        "run_id": run_id,
        "record_id": f"run-{number}",
        "sop_instance_uid": "1.2.3.4",
        "frames": FRAMES,
        "received_at": AT,
        "primary_deg": 45.0 if number == 1 else -35.0,
        "secondary_deg": -30.0 if number == 1 else 2.0,
        "frame_rate_hz": 15.0,
        "flags": [],
        "text": f"{model} coronary artery, score 0.97",
        "text_ja": f"{'左' if number == 1 else '右'}冠動脈、スコア 0.97",
        "bundle": "keyframe-demonstration",
        "side": {
            **_decidable(side, standing),
            "model": model,
            "score": 0.97,
            "now": _correction(side, standing).get("side", model),
            "correctable": True,
        },
        "key_frames": frames,
        "add": {"shown": ["record-1"]},
        "notice": NOTICE,
    }


def _finding(
    artery: str,
    segment: str,
    asks: str,
    form: str,
    value: float,
    unit: str,
    threshold: float | None,
    margin: float | None,
    standing: dict[str, Any],
) -> dict[str, Any]:
    name = f"{segment} {asks}"
    given = {"kind": "finding", "bundle": "deepcoro", "finding": name}
    positive = None if threshold is None else value > threshold
    label, label_ja = _LABELS[asks] if positive else ("", "")
    corrected = _correction(given, standing)
    now = {"value": value, "positive": positive, "label": label, "label_ja": label_ja} | corrected
    return {
        **_decidable(given, standing),
        "record_id": "reading-1",
        "bundle": "deepcoro",
        "name": name,
        "title": name,
        "asks": asks,
        "artery": artery,
        "segment": segment,
        "form": form,
        "value": value,
        "unit": unit,
        "threshold": threshold,
        "positive": positive,
        "margin": margin,
        "label": label,
        "label_ja": label_ja,
        "now": now,
        "frames": [{"run_id": _RUNS[0], "frame_index": 31}] if artery == "LAD" else [],
    }


def decide(stage: Stage, body: Any) -> dict[str, Any]:
    """Store a decision: the newest of a thing stands."""
    for one in stage.decisions:
        if _key(one["thing"]) == _key(body.thing):
            one["stands"] = False
    decision = {
        "id": body.id,
        "what": body.what,
        "thing": body.thing,
        "correction": body.correction,
        "by": "operator",
        "by_name": "",
        "at": AT,
        "text": "",
        "revision": 1,
        "stands": True,
        "of_earlier_revision": False,
        "counts": True,
        "in_words": f"{body.thing['kind']}: {body.what}",
        "in_words_ja": f"{body.thing['kind']}：{body.what}",
    }
    stage.decisions.append(decision)
    return {"decision": decision, "repeated": False}


def review(identity: str) -> dict[str, Any]:
    """A finished review."""
    return {"id": identity, "what": "accepted", "revision": 1, "by": "operator", "by_name": "", "at": AT, "text": ""}
