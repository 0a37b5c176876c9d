"""What makes a release of cathrt: the lock, the bill of materials, the licences, and the recipe. Not in the wheel."""
