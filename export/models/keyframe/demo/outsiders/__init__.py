"""Pictures that are no angiograms, to teach the network's domain output what to refuse. Drawn, never collected."""

from cathrt.export.models.keyframe.demo.outsiders.kinds import (
    OUTSIDER_KINDS,
    OUTSIDER_REASONS,
    kind_of,
    outsider,
    reason_of,
    render_outsiders,
)

__all__ = ["OUTSIDER_KINDS", "OUTSIDER_REASONS", "kind_of", "outsider", "reason_of", "render_outsiders"]
