"""PhantomSource: renders the frames of a scene, and fits the Source port.

What does not move is projected once; each frame then costs two shifts, the arteries' chords and the detector.
Not for: choosing what is in the scene (scene.py).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, Geometry, Grayscale, LostFrame, Run, Timing, VoiWindow
from cathrt.runtime.identity import run_id
from cathrt.runtime.phantom.background import Layers, build_layers
from cathrt.runtime.phantom.chambers import chamber_path
from cathrt.runtime.phantom.contrast import pass_iodine
from cathrt.runtime.phantom.detector import LowPass, develop, expose, resampled, store, stored_with_loss
from cathrt.runtime.phantom.labels import FrameLabel, label_frames
from cathrt.runtime.phantom.motion import freedom_by_arc
from cathrt.runtime.phantom.scene import PHANTOM_VERSION, Scene
from cathrt.runtime.phantom.tubes import TubeBundle, chord_map

_FOCAL_SPOT_MM = 0.6
_FURTHEST_BREATH_MM = 9.0
_CLOUD_MM = 9.0
_ARTERY_NEPERS = 0.4  # what a well-filled artery of 4 mm takes from the signal


class PhantomSource:
    """One run of a scene. render(index) is pure: the same scene and index give the same pixels in any order."""

    def __init__(self, scene: Scene, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._scene, self._clock = scene, clock
        self._closed = self._walked = False
        carm, field = scene.carm, scene.field
        self._open = field.openness(carm.rows, carm.columns)
        self._beam = self._open * np.exp(-field.filtered(carm.rows, carm.columns))
        self._exposed = field.exposed_columns(carm.rows, carm.columns)
        detector = scene.detector
        self._scatter = LowPass(carm.rows, carm.columns, detector.scatter_sigma_mm / carm.pixel_mm)
        self._glare = LowPass(carm.rows, carm.columns, scene.display.harmonisation_sigma * carm.columns)
        self._freedom = None if scene.tree is None else freedom_by_arc(scene.tree.arc_mm)
        self._layers = self._project_layers()
        self._gain = self._expose_automatically()
        self._low, self._high, self._voi = self._set_window()

    @property
    def scene(self) -> Scene:
        """What is rendered."""
        return self._scene

    @cached_property
    def labels(self) -> tuple[FrameLabel, ...]:
        """The truth of each frame."""
        return label_frames(self._scene)

    @cached_property
    def run(self) -> Run:
        """The run as a DICOM object of this kind would describe it."""
        scene, carm, display = self._scene, self._scene.carm, self._scene.display
        identity = f"phantom|{PHANTOM_VERSION}|{scene.seed}|{scene.kind}|{scene.side}|{carm.rows}"
        identity += f"|{scene.frame_count}|{scene.frame_rate_hz}|{','.join(scene.hardships)}"
        return Run(
            run_id=run_id(hashlib.sha256(identity.encode()).hexdigest()),
            source=f"phantom seed {scene.seed}",
            frame_count=scene.frame_count,
            rows=carm.rows,
            columns=carm.columns,
            grayscale=Grayscale(
                bits_stored=display.bits_stored,
                voi=self._voi,
                exposed=self._exposed if scene.field.declared else None,
                pixel_intensity_relationship=display.relationship,
            ),
            timing=Timing(scene.frame_rate_hz, "FrameTime"),
            geometry=Geometry(
                positioner_primary_angle_deg=carm.primary_angle_deg,
                positioner_secondary_angle_deg=carm.secondary_angle_deg,
                imager_pixel_spacing_mm=(carm.pixel_mm, carm.pixel_mm),
                distance_source_to_detector_mm=carm.source_to_detector_mm,
                distance_source_to_patient_mm=carm.source_to_isocentre_mm,
            ),
            modality="XA",
            radiation_setting="SC" if scene.fluoroscopy else "GR",
            flags=("synthetic",),
        )

    def frames(self) -> Iterator[Frame | LostFrame]:
        """Every frame in order, read-only; lost ones after close(). Raises SourceError when walked twice."""
        if self._walked:
            raise SourceError(f"{self.run.source}: its frames were already read: open it again")
        self._walked = True
        return self._frames()

    def close(self) -> None:
        """Frames not yet read come as lost; render() stays usable."""
        self._closed = True

    def _frames(self) -> Iterator[Frame | LostFrame]:
        carm = self._scene.carm
        for index in range(self._scene.frame_count):
            if self._closed:
                yield LostFrame(index, self._clock(), "the source was closed before this frame", failed=False)
                continue
            pixels = self.render(index)
            pixels.setflags(write=False)
            yield Frame(pixels, index, self._clock(), carm.primary_angle_deg, carm.secondary_angle_deg)

    def render(self, index: int) -> NDArray[np.uint8 | np.uint16]:
        """Stored values of one frame, (rows, columns) uint8 up to 8 bits stored, else uint16. Raises IndexError."""
        scene = self._scene
        if not 0 <= index < scene.frame_count:
            raise IndexError(f"frame {index}: this run has frames 0 to {scene.frame_count - 1}")
        seed = int(np.random.SeedSequence([scene.seed, 1000, index]).generate_state(1, np.uint64)[0])
        time_s = scene.time_s(index)
        primary = self._anatomy(time_s)
        path = self.iodine_path(index)
        pass_iodine(primary, path)
        picture = self._develop(primary, seed)
        stored = store(picture, scene.display.bits_stored, self._low, self._high)
        if scene.field.blanked:
            stored[self._open < 0.05 + scene.field.leak] = 0
        if scene.overlay is not None:
            full = (1 << scene.display.bits_stored) - 1
            scene.overlay.burn(stored, full, index, scene.motion.phase(time_s))
        if scene.display.resampled is not None:
            stored = resampled(stored.astype(np.uint8, copy=False), scene.display.resampled)
        if scene.display.jpeg_quality is not None:
            stored = stored_with_loss(stored.astype(np.uint8, copy=False), scene.display.jpeg_quality)
        return stored

    def iodine_path(self, index: int) -> NDArray[np.float32]:
        """Path through contrast medium, mm at 350 mg iodine per ml, (rows, columns), of all that holds any."""
        scene, carm = self._scene, self._scene.carm
        time_s = scene.time_s(index)
        table = scene.table_at(time_s)
        if scene.chamber is not None:
            return chamber_path(scene.chamber, carm, scene.motion, table, time_s)
        tree, bolus, other = scene.tree, scene.bolus, scene.other
        if bolus is None or time_s < bolus.start_s - 0.2 or (tree is None and other is None):
            return np.zeros((carm.rows, carm.columns), dtype=np.float32)
        if other is not None:
            weight = bolus.peak * bolus.share_of_peak(other.arc_mm, time_s)
            still = TubeBundle(other.tubes.points + table, other.tubes.radii, other.tubes.joined)
            return chord_map(carm, still, weight=weight, blur_variance=self._focal_variance)
        assert tree is not None
        assert self._freedom is not None
        weight = bolus.peak * bolus.share_of_peak(tree.arc_mm, time_s) * tree.patency
        points = scene.motion.displace(tree.tubes.points, self._freedom, time_s) + table
        path = chord_map(
            carm,
            TubeBundle(points, tree.tubes.radii, tree.tubes.joined),
            weight=weight,
            blur_variance=self._smear(points, time_s),
        )
        lumen = bolus.peak * bolus.in_catheter(time_s)
        if scene.catheter is not None and lumen > 0.01:
            bent = self._catheter_points(time_s)
            tube = scene.catheter.tubes(bent, scene.catheter.inner_mm)
            path += np.float32(lumen) * chord_map(carm, tube, blur_variance=self._focal_variance)
        self._add_cloud(path, bolus.peak * bolus.reflux(time_s), time_s)
        return path

    @property
    def _focal_variance(self) -> float:
        """Blur of the focal spot, pixel², for things at the isocentre."""
        carm = self._scene.carm
        return (_FOCAL_SPOT_MM * (carm.magnification - 1.0) / carm.pixel_mm) ** 2 / 12.0

    def _smear(self, points: NDArray[np.float64], time_s: float) -> NDArray[np.float64]:
        """Variance, pixel², of the blur across each artery by its own motion during the pulse, and the focal spot."""
        scene, tree = self._scene, self._scene.tree
        assert tree is not None
        assert self._freedom is not None
        axes = scene.carm.axes()[:2]
        scale = scene.carm.magnification / scene.carm.pixel_mm
        velocity = scene.motion.velocity_mm_s(tree.tubes.points, self._freedom, time_s) @ axes.T
        tangent = np.gradient(points, axis=0) @ axes.T
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        across = velocity[:, 0] * tangent[:, 1] - velocity[:, 1] * tangent[:, 0]
        travelled = across * scene.exposure_ms * 1e-3 * scale
        return np.asarray(travelled**2 / 12.0 + self._focal_variance)

    def _catheter_points(self, time_s: float) -> NDArray[np.float64]:
        """The catheter at this moment: its tip rides on the ostium, its shaft lies still."""
        scene, catheter = self._scene, self._scene.catheter
        assert catheter is not None
        tip = catheter.points[-1:]
        ride = scene.motion.displace(tip, freedom_by_arc(np.zeros(1)), time_s)[0] - tip[0]
        return np.asarray(catheter.points + catheter.follows[:, None] * ride + scene.table_at(time_s))

    def _add_cloud(self, path: NDArray[np.float32], depth_mm: float, time_s: float) -> None:
        """Add the Gaussian cloud of contrast that spills from the ostium into the aortic root."""
        tree, carm = self._scene.tree, self._scene.carm
        if depth_mm < 0.02 or tree is None:
            return
        centre = tree.ostium - 7.0 * tree.departure + [0.0, 3.0 + 2.0 * np.sin(9.0 * time_s), 0.0]
        (column, row), scale = carm.project(centre + self._scene.table_at(time_s))
        sigma = _CLOUD_MM * float(scale)
        rows = slice(max(0, int(row - 3 * sigma)), max(0, int(row + 3 * sigma)))
        columns = slice(max(0, int(column - 3 * sigma)), max(0, int(column + 3 * sigma)))
        part = path[rows, columns]
        down = (np.arange(part.shape[0]) + rows.start - row) / sigma
        across = (np.arange(part.shape[1]) + columns.start - column) / sigma
        part += np.float32(depth_mm) * np.outer(np.exp(-0.5 * down**2), np.exp(-0.5 * across**2)).astype(np.float32)

    def _project_layers(self) -> Layers:
        scene, carm = self._scene, self._scene.carm
        scale = carm.magnification / carm.pixel_mm
        margin = 2 * int(np.ceil(0.5 * (np.linalg.norm(scene.pan_mm) + _FURTHEST_BREATH_MM) * scale))
        if scene.chest is None:
            blank = np.zeros((carm.rows + 2 * margin, carm.columns + 2 * margin), dtype=np.float32)
            return Layers(blank, (blank, blank), margin)
        layers = build_layers(scene.chest, carm, scene.table_mm, margin)
        still = layers.still
        for thing in scene.outside:
            placed = TubeBundle(thing.tubes.points + scene.table_mm, thing.tubes.radii, thing.tubes.joined)
            still = still + chord_map(carm, placed, weight=thing.per_mm, margin=margin)
        return Layers(still, layers.organs, margin)

    def _anatomy(self, time_s: float) -> NDArray[np.float32]:
        """Primary beam behind everything but iodine, (rows, columns), a new array; 1 is the unattenuated beam."""
        scene, carm, layers = self._scene, self._scene.carm, self._layers
        scale = carm.magnification / carm.pixel_mm
        axes = carm.axes()[:2]

        def pixels(shift_mm: NDArray[np.float64]) -> tuple[float, float]:
            right, up = axes @ shift_mm * scale
            return float(-up), float(right)

        slide = scene.table_at(time_s) - scene.table_mm
        breath = scene.motion.breath(time_s)
        line = np.zeros((carm.rows, carm.columns), dtype=np.float32)
        layers.add_organs(line, scene.motion.contraction(time_s), *pixels(slide + breath))
        layers.add_still(line, *pixels(slide))
        if scene.catheter is not None:
            catheter, points = scene.catheter, self._catheter_points(time_s)
            for radius, sign in ((catheter.outer_mm, 1.0), (catheter.inner_mm, -1.0)):
                tubes = catheter.tubes(points, radius)
                line += np.float32(sign * catheter.wall_per_mm) * chord_map(
                    carm, tubes, blur_variance=self._focal_variance
                )
        for thing in scene.implants:
            points = scene.motion.displace(thing.tubes.points, thing.freedom, time_s) + scene.table_at(time_s)
            tubes = TubeBundle(points, thing.tubes.radii, thing.tubes.joined)
            line += chord_map(carm, tubes, weight=thing.per_mm, blur_variance=self._focal_variance)
        np.negative(line, out=line)
        np.exp(line, out=line)
        line *= self._beam
        return line

    def _expose_automatically(self) -> float:
        """Factor that brings the mean signal in the middle of the open field to 1."""
        signal = expose(
            self._anatomy(0.0), self._scene.detector, self._scatter, self._scene.carm.pixel_mm, 1.0, 0.0, None
        )
        rows, columns = signal.shape
        middle = np.zeros(signal.shape, dtype=bool)
        middle[rows // 5 : -rows // 5, columns // 5 : -columns // 5] = True
        measured = middle & (self._open > 0.5)
        return 1.0 / float(signal[measured if measured.sum() > 500 else middle].mean())

    def _set_window(self) -> tuple[float, float, VoiWindow | None]:
        """Processed values to store as 0 and full scale, from the first frame without iodine or noise; and the VOI
        window that shows the anatomy, in stored values."""
        scene = self._scene
        signal = expose(self._anatomy(0.0), scene.detector, self._scatter, scene.carm.pixel_mm, self._gain, 0.0, None)
        picture = develop(signal, scene.display, self._glare)
        inside = self._open > 0.5
        seen = picture[inside if inside.sum() > 500 else np.ones_like(inside)][::7]
        low, high = (
            float(v) for v in np.percentile(seen, [scene.display.low_percentile, scene.display.high_percentile])
        )
        # Iodine is darker than all anatomy: leave it room below, so that arteries over the spine are not cut off.
        drop = {
            "LIN": 0.5 * (low + high) * (1.0 - np.exp(-_ARTERY_NEPERS)),
            "LOG": _ARTERY_NEPERS,
            "DISP": 1.0 - np.exp(-_ARTERY_NEPERS * scene.display.gamma),
        }[scene.display.relationship]
        dark, bright = low - scene.display.room_below * drop, high + scene.display.room_above * drop
        if scene.display.relationship == "DISP":
            return dark, bright, None
        full = (1 << scene.display.bits_stored) - 1
        first, last = (0.0, 1.3 * high) if scene.display.relationship == "LIN" else (dark - drop, bright + drop)
        scale = full / (last - first)
        center, width = (0.5 * (dark + bright) - first) * scale, (bright - dark) * scale
        return first, last, VoiWindow(round(center, 1), round(width, 1))

    def _develop(self, primary: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
        scene = self._scene
        gain = self._gain * scene.overexposure
        signal = expose(
            primary, scene.detector, self._scatter, scene.carm.pixel_mm, gain, scene.display.noise_share, seed
        )
        return develop(signal, scene.display, self._glare)
