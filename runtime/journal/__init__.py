"""The journal: the one durable truth. A record is on the disk before anybody sees it."""
