"""The part of cathrt that runs beside the angiography system. Importing it needs NumPy alone."""
