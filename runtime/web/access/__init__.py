"""Who gets in at the page: users, passwords, sessions, and what a request must be like."""
