"""The stream: equal to whole forward passes, and what it does when a drive goes wrong."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from deploy_kit import drive, pictures, predictor, whole_pass

import langocc
from langocc.deploy.memory import Pace
from langocc.deploy.stream import Stream, StreamAnswer
from langocc.predictor import Predictor
from langocc.scenes.frame import Frame


def push(stream: Stream, frame: Frame, **changed: np.ndarray | None) -> StreamAnswer:
    return stream.push(frame, pictures(frame) | changed)


def past(frames: list[Frame], index: int, made: Predictor) -> list[Frame]:
    """As the loader shows a frame: itself in place of what lies before the scene."""
    return [
        frames[index - back] if back <= index else frames[index]
        for back in range(made.config.model.input_frames)
    ]


def assert_equal(answer: StreamAnswer, made: Predictor, shown: list[Frame]) -> None:
    """Bit for bit: the same operations on the same numbers."""
    assert list(answer.shown) == [frame.token for frame in shown]
    expected = whole_pass(made, shown)
    assert torch.equal(answer.field.density, expected.density)
    assert torch.equal(answer.field.features, expected.features)


@pytest.mark.parametrize(
    ("quirks", "history_frames", "stereo"),
    [
        ("published", 0, False),
        ("published", 1, False),
        ("published", 1, True),
        ("published", 2, True),
        ("none", 2, True),
        ("none", 3, True),
    ],
)
def test_a_stream_equals_whole_passes(quirks: str, history_frames: int, stereo: bool) -> None:
    made = predictor(quirks, history_frames=history_frames, stereo=stereo)
    stream, frames = Stream(made), drive(5)
    for index, frame in enumerate(frames):
        answer = push(stream, frame)
        assert_equal(answer, made, past(frames, index, made))
        assert answer.notes == ()
        assert answer.missing == ()


def test_each_frame_is_seen_once_and_each_pair_compared_once(monkeypatch) -> None:
    made = predictor()
    stream, frames = Stream(made), drive(6)
    calls = {"see": 0, "match": 0}
    for name in calls:

        def counted(*arguments, name, work):
            calls[name] += 1
            return work(*arguments)

        work = getattr(stream.engine, name)
        monkeypatch.setattr(stream.engine, name, partial(counted, name=name, work=work))
    for index, frame in enumerate(frames):
        before = dict(calls)
        push(stream, frame)
        assert calls["see"] - before["see"] == 1
        # The second frame's past is compared with what stands in for the frame before the first.
        assert calls["match"] - before["match"] == (2 if index == 1 else 1)


def test_old_frames_are_forgotten() -> None:
    stream = Stream(predictor())
    for frame in drive(12):
        push(stream, frame)
    assert len(stream.memory.frames) <= 6  # two gaps of at most 1.25 s


def test_a_faster_camera_looks_back_by_the_same_time() -> None:
    """At 10 Hz the past of a frame is the fifth one before it, as in training."""
    made = predictor()
    stream, frames = Stream(made), drive(16, interval_s=0.1)
    for frame in frames:
        answer = push(stream, frame)
    assert_equal(answer, made, [frames[15], frames[10], frames[5]])
    assert answer.notes == ()


def test_a_dropped_frame() -> None:
    made = predictor()
    stream, frames = Stream(made), drive(5)
    for index in (0, 1, 3):
        answer = push(stream, frames[index])
    assert answer.notes == ("1.00 s after the frame before, instead of 0.5 s",)
    assert_equal(answer, made, [frames[3], frames[1], frames[0]])
    assert_equal(push(stream, frames[4]), made, [frames[4], frames[3], frames[1]])


def test_too_long_a_gap_leaves_no_past() -> None:
    made = predictor()
    stream, frames = Stream(made), drive(5)
    push(stream, frames[0])
    answer = push(stream, frames[4])
    assert answer.notes == ("2.00 s after the frame before: too long, so it has no past",)
    assert_equal(answer, made, [frames[4]] * 3)
    patient = Stream(made, Pace(longest_gap_s=3.0))
    push(patient, frames[0])
    assert push(patient, frames[4]).shown[1] == frames[0].token


def test_a_new_scene_begins_without_a_past() -> None:
    made = predictor()
    stream, frames, others = Stream(made), drive(3), drive(2, scene="another")
    for frame in frames:
        push(stream, frame)
    answer = push(stream, others[0])  # its clock may have been set back
    assert answer.notes == ("scene another begins: earlier frames are forgotten",)
    assert_equal(answer, made, [others[0]] * 3)
    assert_equal(push(stream, others[1]), made, [others[1], others[0], others[1]])


def moved(frame: Frame, by_m: float) -> Frame:
    shift = np.eye(4)
    shift[0, 3] = by_m
    cameras = {
        name: replace(camera, global_from_ego=shift @ camera.global_from_ego)
        for name, camera in frame.cameras.items()
    }
    return replace(frame, cameras=cameras, global_from_ego=shift @ frame.global_from_ego)


def test_a_pose_that_jumps_cuts_the_scene() -> None:
    made = predictor()
    stream, frames = Stream(made), drive(3)
    push(stream, frames[0])
    answer = push(stream, moved(frames[1], 400.0))
    assert "the pose jumped by" in answer.notes[0]
    assert set(answer.shown) == {frames[1].token}
    near = push(stream, moved(frames[2], 403.0))  # an ordinary correction of some metres
    assert near.notes == ()
    assert near.shown[1] == frames[1].token


def test_a_rig_that_changes() -> None:
    """Turned cameras are followed; other intrinsics are compared anew, as a whole pass would."""
    made = predictor()
    stream, frames = Stream(made), drive(4)
    zoomed = frames[2].cameras["cam1"].intrinsics * np.array([[1.1, 1, 1], [1, 1.1, 1], [1, 1, 1]])
    turn = frames[2].cameras["cam0"].ego_from_cam.copy()
    turn[:3, 3] += 0.1
    changed = {
        "cam0": replace(frames[2].cameras["cam0"], ego_from_cam=turn),
        "cam1": replace(frames[2].cameras["cam1"], intrinsics=zoomed),
        "cam2": frames[2].cameras["cam2"],
    }
    frames[2] = replace(frames[2], cameras=changed)
    for index, frame in enumerate(frames):
        assert_equal(push(stream, frame), made, past(frames, index, made))


def test_images_of_another_size_than_before() -> None:
    stream, frames = Stream(predictor()), drive(2)
    push(stream, frames[0])
    smaller = {
        name: replace(c, width=80, height=45, intrinsics=np.diag([0.5, 0.5, 1]) @ c.intrinsics)
        for name, c in frames[1].cameras.items()
    }
    images = {name: pixels[::2, ::2] for name, pixels in pictures(frames[1]).items()}
    answer = stream.push(replace(frames[1], cameras=smaller), images)
    assert answer.notes == ("the images' sizes changed: earlier frames are forgotten",)


@pytest.mark.parametrize("stereo", [True, False])
def test_a_missing_camera_leaves_the_others_as_they_are(stereo: bool) -> None:
    """The field of a vehicle without it, but for the rounding of convolutions in other batches."""
    made = predictor("none", stereo=stereo)
    frames = drive(3)
    without = [
        replace(frame, cameras={n: c for n, c in frame.cameras.items() if n != "cam1"})
        for frame in frames
    ]
    stream, other = Stream(made), Stream(made)
    for frame, fewer in zip(frames, without, strict=True):
        answer = push(stream, frame, cam1=None)
        expected = push_same_pixels(other, fewer, frame)
        assert answer.missing == ("cam1",)
        assert answer.notes == ("cam1: no image; none was given",)
        torch.testing.assert_close(answer.field.density, expected.field.density)
        torch.testing.assert_close(answer.field.features, expected.field.features)


def push_same_pixels(stream: Stream, fewer: Frame, full: Frame) -> StreamAnswer:
    return stream.push(fewer, {n: p for n, p in pictures(full).items() if n in fewer.cameras})


def test_a_camera_that_comes_back() -> None:
    """Its image has nothing to be compared with, so stereo says nothing; the next time it does."""
    made = predictor()
    stream, frames = Stream(made), drive(6)
    push(stream, frames[0])
    assert push(stream, frames[1], cam2=None).missing == ("cam2",)
    back = push(stream, frames[2])
    assert back.missing == ()
    assert bool(back.field.density.isfinite().all())
    push(stream, frames[3])
    assert_equal(push(stream, frames[4]), made, [frames[4], frames[3], frames[2]])


def test_a_camera_that_a_frame_does_not_name() -> None:
    stream, frames = Stream(predictor()), drive(2)
    push(stream, frames[0])
    fewer = {n: c for n, c in frames[1].cameras.items() if n != "cam0"}
    answer = push(stream, replace(frames[1], cameras=fewer))
    assert answer.missing == ("cam0",)
    assert answer.notes == ("cam0: no image; the frame does not name this camera",)
    assert list(answer.frame.cameras) == ["cam0", "cam1", "cam2"]


def test_missing_files_are_missing_cameras() -> None:
    stream, frames = Stream(predictor()), drive(1)
    with pytest.raises(ValueError, match="frame drive-0: expected an image of a camera, got none"):
        stream.push(frames[0])


@pytest.mark.parametrize(
    "changed", ["cam1.global_from_ego", "cam1.ego_from_cam", "global_from_ego"]
)
def test_a_pose_that_is_not_a_number_is_refused_and_leaves_no_trace(changed: str) -> None:
    made = predictor()
    stream, frames = Stream(made), drive(3)
    for frame in frames[:2]:
        push(stream, frame)
    nothing = np.full((4, 4), np.nan)
    if "." in changed:
        name, entry = changed.split(".")
        camera = replace(frames[2].cameras[name], **{entry: nothing})
        faulty = replace(frames[2], cameras=dict(frames[2].cameras) | {name: camera})
    else:
        faulty = replace(frames[2], global_from_ego=nothing)
    with pytest.raises(ValueError, match=rf"frame drive-2: {changed}: expected 4 x 4 finite"):
        push(stream, faulty)
    assert_equal(push(stream, frames[2]), made, frames[2::-1])


def test_bad_frames_are_refused() -> None:
    made = predictor()
    stream, frames = Stream(made), drive(3)
    push(stream, frames[0])
    push(stream, frames[1])
    with pytest.raises(ValueError, match=r"frame drive-0: expected a time after 1000500000 us"):
        push(stream, frames[0])
    with pytest.raises(ValueError, match="expected a time after"):
        push(stream, frames[1])
    named = dict(frames[2].cameras) | {"roof": frames[2].cameras["cam0"]}
    with pytest.raises(ValueError, match=r"expected cameras cam0, cam1, cam2, got .*roof"):
        stream.push(replace(frames[2], cameras=named), pictures(frames[2]))
    bent = replace(frames[2].cameras["cam0"], ego_from_cam=np.diag([2.0, 1, 1, 1]))
    with pytest.raises(ValueError, match=r"cam0\.ego_from_cam: expected a rigid transform"):
        push(stream, replace(frames[2], cameras=dict(frames[2].cameras) | {"cam0": bent}))
    flat = replace(frames[2].cameras["cam0"], intrinsics=np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"cam0\.intrinsics: expected finite numbers"):
        push(stream, replace(frames[2], cameras=dict(frames[2].cameras) | {"cam0": flat}))
    with pytest.raises(ValueError, match=r"images\['cam1'\]: expected 90 rows x 160 columns"):
        push(stream, frames[2], cam1=np.zeros((45, 80, 3), np.uint8))
    with pytest.raises(ValueError, match=r"images: expected uint8 \(3, 48, 96, 3\), got"):
        stream.push(frames[2], torch.zeros(3, 48, 97, 3, dtype=torch.uint8))
    assert_equal(push(stream, frames[2]), made, frames[2::-1])


def test_inputs_that_are_cut_already() -> None:
    """Network inputs as one tensor, as a camera driver on a GPU hands them over."""
    made = predictor()
    streams, frames = (Stream(made), Stream(made)), drive(2)
    from langocc.deploy.arrivals import cut_pictures

    for frame in frames:
        cut = cut_pictures(frame, pictures(frame), (), (96, 48), "exact").inputs
        one, other = streams[0].push(frame, cut), push(streams[1], frame)
        assert torch.equal(one.field.features, other.field.features)


def test_after_a_reset_time_may_go_back() -> None:
    made = predictor()
    stream, frames = Stream(made), drive(2)
    push(stream, frames[1])
    stream.reset()
    assert_equal(push(stream, frames[0]), made, [frames[0]] * 3)


def test_a_predictor_has_no_words() -> None:
    stream, frames = langocc.Stream(predictor()), drive(1)
    answer = push(stream, frames[0])
    with pytest.raises(ValueError, match=r"expected one made from langocc\.load"):
        answer.semantics()


def test_impossible_paces() -> None:
    with pytest.raises(ValueError, match="pace: expected 0 < interval_s"):
        Pace(interval_s=2.0)
