"""Which patients each part of the demonstration takes, and the plans of its two stages.

Not for: running them (train_study.py), or their losses (losses.py).
"""

from __future__ import annotations

from cathrt.export.checkpoint.training_loop import Plan

# Sets of patients that never meet. Patients are not scenes: their streams are their own.
TRAINING_STUDIES, THRESHOLD_STUDIES, TEST_STUDIES = 540, 40, 120
TRAINING_START = 110_000_000
THRESHOLD_START = TRAINING_START + TRAINING_STUDIES
TEST_START = THRESHOLD_START + THRESHOLD_STUDIES
WHOLE = Plan("whole", seed=1, steps=340, batch=4, learning_rate=2e-3, warmup=30, weight_decay=0.05, average=0.98)
HEAD = Plan("head", seed=2, steps=400, batch=16, learning_rate=1e-3, warmup=50, muon=False, weight_decay=0.05)
