"""Whether a code stream is whole. Every coded sample is walked over, none is decoded.

All raise ValueError, saying what is missing and where. What follows an end marker is ignored.
"""

def check_jpeg(stream: bytes) -> int:
    """Huffman coded JPEG of any component count: sequential, progressive, lossless. Source: ITU-T T.81.

    Returns the position after the end marker.
    """

def check_jpeg2000(stream: bytes) -> None:
    """JPEG 2000 and HTJ2K of one component. Source: ITU-T T.800, T.814."""

def check_rle(stream: bytes, samples: int, segments: int) -> None:
    """RLE of DICOM. samples: of a frame. segments: bytes of a sample. Source: DICOM PS3.5 annex G."""
