"""Child processes: how a parent starts and ends them, and how a child ends with its parent."""
