"""Our cascade finds what facenet-pytorch's MTCNN finds, and survives what it does not."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from facenet_pytorch import MTCNN
from PIL import Image

from facecheck import image
from facecheck.detection import pyramid
from facecheck.detection.detector import Detections, FaceDetector
from facecheck.detection.pyramid import SummedArea

Told = tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    shared = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))


@pytest.fixture(scope="module")
def reference() -> MTCNN:
    return MTCNN(keep_all=True, min_face_size=20)


@pytest.fixture(scope="module")
def same_settings() -> FaceDetector:
    return FaceDetector(min_face_px=20, min_face_share=0, min_confidence=0, first_px=0)


@pytest.fixture(scope="module")
def enlarged(astronaut) -> np.ndarray:
    """Levels of its pyramid are larger than a canvas."""
    return np.asarray(Image.fromarray(astronaut).resize((1301, 1177), Image.Resampling.BICUBIC))


def told(reference: MTCNN, picture: np.ndarray) -> Told:
    """Boxes, scores and landmarks of the reference; None where it finds nothing."""
    return reference.detect(Image.fromarray(picture), landmarks=True)


@pytest.fixture(scope="module")
def photo_set(shared_photos, reference) -> list[tuple[np.ndarray, Told]]:
    """What the reference finds takes most of the time of all who ask, so that large pictures are halved."""
    pictures = [halved(image.load(path)) for path in shared_photos]
    return [(picture, told(reference, picture)) for picture in pictures]


def halved(picture: np.ndarray) -> np.ndarray:
    """The same, or half as high and wide if it has more than a megapixel."""
    return picture if picture[..., 0].size <= 1_000_000 else np.asarray(Image.fromarray(picture).reduce(2))


def assert_parity(pictures, reference, same_settings):
    assert_same([(picture, told(reference, picture)) for picture in pictures], same_settings)


def assert_same(known: list[tuple[np.ndarray, Told]], same_settings):
    answers = same_settings.detect([picture for picture, _ in known])
    for (_, (expected, scores, landmarks)), found in zip(known, answers, strict=True):
        assert len(found) == (0 if expected is None else len(expected))
        if expected is None:
            continue
        boxes, points = expected.astype(float), landmarks.astype(float)
        for index in range(len(found)):
            overlaps = [overlap(boxes[index], box) for box in found.boxes]
            match = int(np.argmax(overlaps))
            assert overlaps[match] >= 0.95
            assert found.confidence[match] == pytest.approx(scores[index], abs=1e-3)
            np.testing.assert_allclose(found.landmarks[match], points[index], atol=1.0)


def test_boxes_agree_with_facenet_pytorch(grace, astronaut, reference, same_settings):
    crowd = np.hstack([astronaut, astronaut[::2, ::2].repeat(2, axis=0)[:, :256], astronaut])
    assert_parity([grace, astronaut, crowd, astronaut[::3, ::3]], reference, same_settings)


def test_boxes_of_a_large_picture_agree_with_facenet_pytorch(enlarged, reference, same_settings):
    assert_parity([enlarged], reference, same_settings)


def test_torch_finds_the_same(grace, astronaut, cat, reference):
    on_torch = FaceDetector(min_face_px=20, min_face_share=0, min_confidence=0, first_px=0, engine="torch")
    assert on_torch.networks.pnet.func.__module__ == "facecheck.detection.mtcnn_torch"
    assert_parity([grace, astronaut, cat], reference, on_torch)


@pytest.mark.slow
def test_boxes_agree_with_facenet_pytorch_on_the_photo_set(photo_set, same_settings):
    assert len(photo_set) > 100
    assert_same(photo_set, same_settings)


def test_a_batch_of_unequal_pictures_gives_what_each_gives_alone(detector, grace, astronaut, cat):
    pictures = [grace, cat, astronaut, np.zeros((30, 500, 3), np.uint8)]
    for together, picture in zip(detector.detect(pictures), pictures, strict=True):
        alone = detector.detect([picture])[0]
        np.testing.assert_allclose(together.boxes, alone.boxes, atol=0.01)


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (12, 12), (20, 20), (1, 4000), (3000, 13), (64, 64)])
@pytest.mark.parametrize("fill", ["black", "noise"])
def test_tiny_extreme_and_grey_pictures_never_raise(detector, shape, fill):
    picture = np.zeros((*shape, 3), np.uint8)
    if fill == "noise":
        picture = np.random.default_rng(0).integers(0, 256, picture.shape, np.uint8)
    assert len(detector.detect([picture])[0]) == 0


def test_no_picture_and_no_face_are_normal(detector, cat):
    assert detector.detect([]) == []
    empty = detector.detect([cat])[0]
    assert empty.boxes.shape == (0, 4)
    assert empty.landmarks.shape == (0, 5, 2)
    assert empty.confidence.shape == (0,)


def test_faces_come_largest_first(detector, astronaut):
    scene = np.zeros((512, 1100, 3), np.uint8)
    scene[:256, :256] = astronaut[::2, ::2]
    scene[:, 500:1012] = astronaut
    found = detector.detect([scene])[0]
    assert len(found) == 2
    sides = found.boxes[:, 2] - found.boxes[:, 0]
    assert sides[0] > 1.5 * sides[1]
    assert found.boxes[0, 0] > 500


def test_a_forty_megapixel_photo_is_searched_at_a_coarser_scale(detector, grace):
    large = np.asarray(Image.fromarray(grace).resize((5600, 7154), Image.Resampling.BICUBIC))
    found = detector.detect([large])[0]
    small = detector.detect([grace])[0]
    assert overlap(found.boxes[0] * (512 / 5600), small.boxes[0]) > 0.8


@pytest.mark.parametrize("factor", [2, 3])
def test_a_reduced_picture_has_the_boxes_of_the_reference(grace, astronaut, reference, same_settings, factor):
    """Every pixel stands `factor` times, and as many more at the edges, so the reduction gives the photo back."""
    for photo in (grace, astronaut):
        large = np.pad(photo.repeat(factor, axis=0).repeat(factor, axis=1), ((0, 1), (0, 1), (0, 0)))
        share = 20 * factor / max(large.shape)
        searching = FaceDetector(
            min_face_px=20, min_face_share=share, min_confidence=0, first_px=0, networks=same_settings.networks
        )
        found, boxes = searching.detect([large])[0], large_faces(*told(reference, photo)[:2], 0)
        assert boxes
        assert all(max(overlap(box * factor, mine) for mine in found.boxes) >= 0.95 for box in boxes)


@pytest.mark.parametrize("shape", [(29, 60_000), (199, 400_000), (1, 2_000_000)])
def test_very_thin_pictures_cost_nothing(same_settings, monkeypatch, shape):
    seen = []
    monkeypatch.setattr(pyramid, "SummedArea", lambda picture: seen.append(picture.shape) or SummedArea(picture))
    detector = FaceDetector(networks=same_settings.networks)
    assert len(detector.detect([np.full((*shape, 3), 90, np.uint8)])[0]) == 0
    assert all(height * width < 100_000 for height, width, _ in seen)


def test_landmarks_lie_inside_the_box(detector, grace):
    found = detector.detect([grace])[0]
    assert len(found) == 1
    assert (found.landmarks[0] > found.boxes[0, :2]).all()
    assert (found.landmarks[0] < found.boxes[0, 2:]).all()
    left_eye, right_eye, nose = found.landmarks[0, :3]
    assert left_eye[0] < nose[0] < right_eye[0]


def large_faces(boxes: np.ndarray | None, scores: np.ndarray | None, least_px: float) -> list[np.ndarray]:
    """Those that the reference is sure of."""
    if boxes is None:
        return []
    sides = (boxes[:, 2:] - boxes[:, :2]).astype(float).max(axis=1)
    return list(boxes[(sides >= least_px) & (scores >= 0.9)].astype(float))


@pytest.mark.slow
def test_no_face_of_forty_pixels_is_lost_on_the_photo_set(photo_set, detector):
    wanted = 0
    answers = detector.detect([picture for picture, _ in photo_set])
    for (_, (boxes, scores, _)), found in zip(photo_set, answers, strict=True):
        for face in large_faces(boxes, scores, 40):
            wanted += 1
            assert max(overlap(face, box) for box in found.boxes) > 0.5
    assert wanted > 100


def beside(large: np.ndarray, small: np.ndarray, side: int) -> np.ndarray:
    """A scene with a large picture and a reduced one, on black."""
    scene = np.zeros((max(large.shape[0], side), large.shape[1] + side, 3), np.uint8)
    scene[: large.shape[0], : large.shape[1]] = large
    scene[:side, large.shape[1] :] = np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.LANCZOS))
    return scene


def test_faces_of_forty_pixels_are_found_beside_large_ones(detector, grace, astronaut):
    scene = beside(grace, astronaut, 230)  # The face of the second is 44 pixels high.
    found = detector.detect([scene])[0]
    assert len(found) == 2
    assert 38 < (found.boxes[1, 2:] - found.boxes[1, :2]).max() < 60


def test_smaller_faces_are_looked_for_where_no_large_one_is(detector, grace, astronaut):
    hasty = FaceDetector(first_px=100, networks=detector.networks)
    scene = beside(grace, astronaut, 230)
    assert len(hasty.detect([scene])[0]) == 1
    scene[:, : grace.shape[1]] = 0
    found = hasty.detect([scene])[0]
    assert len(found) == 1
    assert (found.boxes[0, 2:] - found.boxes[0, :2]).max() < 60


@pytest.mark.parametrize("shape", [(480, 640), (2400, 4096)])
def test_the_search_for_small_faces_looks_at_no_level_twice(detector, monkeypatch, astronaut, shape):
    scene = np.zeros((*shape, 3), np.uint8)
    side = max(shape) // 6
    scene[:side, -side:] = np.asarray(Image.fromarray(astronaut).resize((side, side), Image.Resampling.LANCZOS))
    sizes: list[tuple[int, int]] = []
    resized = SummedArea.resized
    monkeypatch.setattr(SummedArea, "resized", lambda table, *size: sizes.append(size) or resized(table, *size))
    in_two_steps, steps = detector.detect([scene])[0], sizes.copy()
    sizes.clear()
    at_once = FaceDetector(first_px=0, networks=detector.networks).detect([scene])[0]
    assert len(at_once) == 1
    np.testing.assert_array_equal(in_two_steps.boxes, at_once.boxes)
    assert sorted(steps) == sorted(sizes)


def test_noise_is_no_endless_work(detector):
    noise = np.random.default_rng(0).integers(0, 256, (2500, 2500, 3), np.uint8)
    assert len(detector.detect([noise])[0]) == 0


def test_threads_share_a_detector(detector, grace, astronaut, cat):
    pictures = [grace, astronaut, cat]
    alone = [detector.detect([picture])[0].boxes for picture in pictures]
    several = detector.for_workers()
    with ThreadPoolExecutor(4) as pool:
        found_at_once = pool.map(lambda picture: several.detect([picture])[0], pictures * 4)
        for boxes, found in zip(alone * 4, found_at_once, strict=True):
            np.testing.assert_allclose(found.boxes, boxes, atol=0.01)


def test_detections_have_an_empty_value_parts_and_one_shape():
    empty = Detections.empty()
    assert len(empty) == 0
    assert (empty.boxes.shape, empty.landmarks.shape, empty.confidence.shape) == ((0, 4), (0, 5, 2), (0,))
    known = Detections.at([[1, 2, 30, 40], [5, 5, 9, 9]])
    assert known[:1].boxes.tolist() == [[1, 2, 30, 40]]
    assert len(Detections.at(np.array([1, 2, 3, 4]))) == 1
    boxes, landmarks, confidence = known.boxes, known.landmarks, known.confidence
    for wrong in (
        (boxes.astype(np.float64), landmarks, confidence),
        (boxes[:, :3], landmarks, confidence),
        (boxes, landmarks[:1], confidence),
        (boxes, landmarks.reshape(2, 10), confidence),
        (boxes, landmarks, confidence[:, None]),
    ):
        with pytest.raises(ValueError, match="must be float32"):
            Detections(*wrong)
