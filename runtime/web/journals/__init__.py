"""What the page asks of journals: the newest passes, the rows of one, and when they were stored."""
