"""The part of the page that shows runs: which there are, what was said of each, and their frames again."""
