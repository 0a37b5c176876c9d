"""Pictures that are no angiograms, mostly of kinds that training did not see, through the line: how many it refuses."""

from benchmarks.outsiders.refusals import HELD_OUT_KINDS, SEEN_KINDS, measure_outsiders, write_outsiders

__all__ = ["HELD_OUT_KINDS", "SEEN_KINDS", "measure_outsiders", "write_outsiders"]
