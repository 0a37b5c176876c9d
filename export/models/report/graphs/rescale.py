"""Powers of two by which tensors are made smaller, so that float16 holds them, while what comes out stays the same.

A norm undoes any factor of its input if its epsilon has the square of it. So the residual stream, which only norms
read, may be smaller everywhere by one factor, and so may what a matrix product brings into a norm. Multiplying by a
power of two rounds nothing. Not for: finding the powers (ranges.py).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerRescale:
    """Powers of one layer: a tensor is 2 to the minus so much of what it was.

    query, key: before their norms. attention: the output projection. product: gate times up, and what follows it.
    """

    query: int = 0
    key: int = 0
    attention: int = 0
    product: int = 0


@dataclass(frozen=True, slots=True)
class Rescale:
    """residual: power of the decoder's residual stream. layers: of the decoder; () where none needs any.

    vision: power of the vision tower's residual stream.
    """

    residual: int = 0
    layers: tuple[LayerRescale, ...] = ()
    vision: int = 0

    def layer(self, number: int) -> LayerRescale:
        return self.layers[number] if self.layers else LayerRescale()


AS_IT_IS = Rescale()


def shrunk(power: int) -> float:
    """The factor: 2 to the minus `power`."""
    return 2.0**-power


def shrunk_epsilon(epsilon: float, power: int) -> float:
    """A norm's epsilon where its input is 2 to the minus `power` of what it was."""
    return epsilon * 4.0**-power
