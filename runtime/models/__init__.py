"""Models: each knows what its tensors mean, none knows a back-end."""

from __future__ import annotations

from cathrt.runtime.alert import KeyframeFinding

# Every class that the finding of a stored verdict may be of. A new model adds its own here.
FINDINGS = (KeyframeFinding,)
