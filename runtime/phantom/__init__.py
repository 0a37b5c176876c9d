"""The phantom: synthetic cine coronary angiography made by physics, labelled frame by frame, from one seed.

docs/phantom.md gives the model, its numbers and its limits. Not for: real images, of which it holds none.
"""

from cathrt.runtime.phantom.labels import FrameLabel
from cathrt.runtime.phantom.scene import Scene, SceneKind, sample_scene
from cathrt.runtime.phantom.source import PhantomSource

__all__ = ["FrameLabel", "PhantomSource", "Scene", "SceneKind", "sample_scene"]
