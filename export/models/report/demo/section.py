"""What the demonstration's bundle says of its model: tokens, picture, prompts, sizes.

Not for: its networks, which the exporter writes from the weights.
"""

from __future__ import annotations

from tokenizers import Tokenizer

from cathrt.export.models.report.demo.network import CONTEXT, Size
from cathrt.export.models.report.demo.pictures import PICTURE
from cathrt.export.models.report.demo.tokenizer import report_tokens
from cathrt.runtime.models.report.prompt import DEFAULT_PROMPTS
from cathrt.runtime.models.report.section import ReportSection

TOKENIZER_FILE = "tokenizer.json"
PICTURES = 2  # of one prompt: the best key frame of each side
MOST_TOKENS = 480  # of one answer: facts of eight narrowings take 230, their prose 330


def demonstration_section(tokenizer: Tokenizer, size: Size | None = None) -> ReportSection:
    """The section. tokenizer: the one that the network was trained with."""
    size = size or Size()
    return ReportSection(
        tokenizer=TOKENIZER_FILE,
        tokens=report_tokens(tokenizer),
        picture=PICTURE,
        prompts=DEFAULT_PROMPTS,
        layers=size.layers,
        kv_heads=size.kv_heads,
        head_dim=size.head_dim,
        window=size.window,
        context=CONTEXT,
        pictures=PICTURES,
        most_tokens=MOST_TOKENS,
    )
