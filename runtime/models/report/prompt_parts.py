"""What a model is asked and what it answers: the parts of a prompt, the limits of an answer, the answer.

Not for: the words of a prompt (prompt.py), or what an answer means (facts.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Ended = Literal["end", "length", "time", "stopped"]


@dataclass(frozen=True, slots=True)
class Markup:
    """Text of the bundle's own, in which control tokens (such as <start_of_turn>) are control tokens."""

    text: str


Part = str | Markup | NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """parts: texts and pictures in order, the system text first, which is computed once for all prompts.

    str: data, in which nothing is a control token. Markup: text in which control tokens count. Array: a picture's
    embeddings, (tokens, hidden) float32, as embed_picture() returns them; its begin and end marks are added. The token
    that begins every text is added too. Each part is turned into tokens alone.
    """

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """most_tokens: of the answer. most_s: of computing, pauses not counted. schema: JSON schema that the answer must
    follow; None: free text. temperature: 0 takes the likeliest token each time; else one is drawn of those that
    together have probability top_p, from PCG64 with this seed.
    """

    most_tokens: int
    most_s: float
    schema: Mapping[str, Any] | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """text: without control tokens. tokens: all that were taken, with the one that ended it.

    ended: "end" where the model ended it, or the schema leaves nothing to add; else it is cut off ("length" by
    most_tokens or the context, "time" by most_s, "stopped"), and what should be JSON is none.
    prompt_tokens: positions of the prompt. reused_tokens: of these, computed by an earlier answer.
    prefill_ns: to the prompt's last logits. decode_ns: the rest. paused_ns: in pauses, in neither of the two.
    """

    text: str
    tokens: tuple[int, ...]
    ended: Ended
    prompt_tokens: int
    reused_tokens: int
    prefill_ns: int
    decode_ns: int
    paused_ns: int

    @property
    def whole(self) -> bool:
        """Whether nothing is missing at its end."""
        return self.ended == "end"
