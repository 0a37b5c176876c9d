"""Where runs come from. Vendors are imported inside the file that needs them."""
