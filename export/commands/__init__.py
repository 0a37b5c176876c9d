"""The installed `cathrt`: commands of export beside those of the runtime."""
