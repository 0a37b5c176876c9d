"""The audit trail: who started, sent and received what, as PS3.15 A.5 has it."""
