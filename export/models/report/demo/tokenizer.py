"""The demonstration's tokens: byte-level pairs learnt from the reports it is to write, and Gemma's marks.

Every text can be written in it, and gets back as it was: what was never seen falls apart into bytes. Digits are single,
so that numbers are copied digit by digit. Not for: tokens at run time (runtime/models/report/tokens.py).
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from cathrt.runtime.models.report.section import ReportTokens

VOCABULARY = 2048
PAD, END, BEGIN = "<pad>", "<eos>", "<bos>"
START_OF_TURN, END_OF_TURN = "<start_of_turn>", "<end_of_turn>"
START_OF_IMAGE, END_OF_IMAGE, IMAGE = "<start_of_image>", "<end_of_image>", "<image_soft_token>"
MARKS = (PAD, END, BEGIN, START_OF_TURN, END_OF_TURN, START_OF_IMAGE, END_OF_IMAGE, IMAGE)


def train_tokenizer(texts: Iterable[str], vocabulary: int = VOCABULARY) -> Tokenizer:
    """Marks first, then all bytes, then the pairs that occur most often."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[AddedToken(mark, special=True, normalized=False) for mark in MARKS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def report_tokens(tokenizer: Tokenizer) -> ReportTokens:
    """Ids of the marks."""
    ids = {mark: _id_of(tokenizer, mark) for mark in MARKS}
    return ReportTokens(
        begin=ids[BEGIN],
        end=(ids[END], ids[END_OF_TURN]),
        begin_image=ids[START_OF_IMAGE],
        end_image=ids[END_OF_IMAGE],
        image=ids[IMAGE],
        control=tuple(sorted(ids.values())),
    )


def pad_token(tokenizer: Tokenizer) -> int:
    """What fills a batch up."""
    return _id_of(tokenizer, PAD)


def _id_of(tokenizer: Tokenizer, mark: str) -> int:
    found = tokenizer.token_to_id(mark)
    assert found is not None  # train_tokenizer puts all marks in
    return int(found)
