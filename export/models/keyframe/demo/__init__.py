"""The demonstration weights: phantom frames in, a signed keyframe bundle out."""
