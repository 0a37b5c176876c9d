"""What is kept, for how long and how much; backups of it, and how they come back."""
