"""What each stage of the training is given: scenes, plans, shares of tasks.

Not for: running the stages (train_report.py), or their losses (vision_stage.py, language_stage.py).
"""

from __future__ import annotations

from cathrt.export.checkpoint.training_loop import Plan
from cathrt.export.models.report.demo.language_stage import Mixture

# Sets of scenes that can never meet: seeds far apart, whatever the options. None is the keyframe demonstration's.
TRAINING_START, TEST_START = 60_000_000, 70_000_000
ADAPTER_RANK = 16
VISION = Plan("vision", seed=1, steps=2900, batch=16, learning_rate=2e-3, weight_decay=0.05)
TEXT = Plan("text", seed=2, steps=1400, batch=12, learning_rate=2e-3)
BASE = Plan("base", seed=3, steps=1100, batch=12, learning_rate=1e-3)
ADAPTER = Plan("adapter", seed=4, steps=200, batch=12, learning_rate=1e-3, muon=False, weight_decay=0.0, average=0.99)
TEXT_MIXTURE = Mixture(pictures=0.0, studies=0.0, unknown=0.0)
BASE_MIXTURE = Mixture(pictures=0.5, studies=0.1, unknown=0.5, narrowed=0.6)
ADAPTER_MIXTURE = Mixture(pictures=0.75, studies=0.5, unknown=0.3, narrowed=0.6)
