"""Starting weights: what a file gives is taken, what it lacks is refused or listed."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import ResNetConfig, ResNetForImageClassification

from langocc.errors import DataError
from langocc.interop.checkpoints_published import published_name
from langocc.interop.initialise import initialise_from_detector, initialise_from_resnet
from langocc.model.backbone import Backbone
from langocc.model.config import BackboneConfig
from langocc.model.langocc import LangOcc
from langocc.presets import FULL_MODEL, TINY_MODEL

CLASSIFIER = {"fc.weight": torch.zeros(10, 512), "fc.bias": torch.zeros(10)}


@pytest.fixture
def model() -> LangOcc:
    torch.manual_seed(0)
    return LangOcc(TINY_MODEL)


@pytest.fixture
def resnet(model: LangOcc) -> dict[str, Tensor]:
    """A ResNet's state under torchvision's names."""
    state = model.backbone.state_dict()
    return {n: torch.randn(t.shape) if t.is_floating_point() else t for n, t in state.items()}


def _save_torchvision(resnet: dict[str, Tensor], path: Path) -> None:
    torch.save(resnet | CLASSIFIER, path)


def _save_old_torchvision(resnet: dict[str, Tensor], path: Path) -> None:
    old = {n: t for n, t in resnet.items() if "num_batches_tracked" not in n}
    torch.save(old | CLASSIFIER, path)


def _save_mmdetection(resnet: dict[str, Tensor], path: Path) -> None:
    torch.save({"meta": {}, "state_dict": {f"backbone.{n}": t for n, t in resnet.items()}}, path)


@pytest.mark.parametrize("save", [_save_torchvision, _save_old_torchvision, _save_mmdetection])
def test_resnet_files(
    save: Callable, model: LangOcc, resnet: dict[str, Tensor], tmp_path: Path
) -> None:
    save(resnet, tmp_path / "resnet.pth")
    neck = model.neck.smooth.weight.clone()
    account = initialise_from_resnet(model, tmp_path / "resnet.pth")
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(tensor, resnet[name]), name
    assert torch.equal(model.neck.smooth.weight, neck)
    assert set(account.unused) <= set(CLASSIFIER)
    assert all(name.startswith("backbone.") for name in account.taken)
    assert not set(account.taken) & set(account.kept)


def test_a_transformers_resnet_gives_the_same_features(tmp_path: Path) -> None:
    """Not only the names: stem, strides and shortcuts compute what transformers computes."""
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=16, hidden_sizes=[64, 128, 256, 512], depths=[1, 1, 1, 1])
    theirs = ResNetForImageClassification(config).eval()
    for buffer in theirs.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    model = LangOcc(TINY_MODEL).eval()
    account = initialise_from_resnet(model, tmp_path / "model.safetensors")
    assert set(account.unused) == {"classifier.1.weight", "classifier.1.bias"}
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        found = model.backbone(images)
        hidden = theirs.resnet(images, output_hidden_states=True).hidden_states
    torch.testing.assert_close(found.stride4, hidden[1])
    torch.testing.assert_close(found.stride16, hidden[3])
    torch.testing.assert_close(found.stride32, hidden[4])


def test_the_published_network_takes_a_whole_resnet_50(tmp_path: Path) -> None:
    """As transformers builds it by default: a ResNet-50."""
    theirs = ResNetForImageClassification(ResNetConfig())
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    model = LangOcc(FULL_MODEL)
    account = initialise_from_resnet(model, tmp_path / "model.safetensors")
    assert set(account.unused) == {"classifier.1.weight", "classifier.1.bias"}
    assert len(account.taken) == 318  # 53 convolutions; 53 norms of five entries
    assert not any(name.startswith("backbone.") for name in account.kept)
    stem = theirs.resnet.embedder.embedder.convolution.weight
    assert torch.equal(model.backbone.conv1.weight, stem)


def test_another_depth_is_refused(model: LangOcc, tmp_path: Path) -> None:
    deeper = Backbone(BackboneConfig(width=16, blocks=(2, 1, 1, 1))).state_dict()
    torch.save(deeper, tmp_path / "deeper.pth")
    with pytest.raises(DataError, match=r"(?s)deeper\.pth: .*unexpected layer1\.1\.conv1\.weight"):
        initialise_from_resnet(model, tmp_path / "deeper.pth")
    shallower = {n: t for n, t in deeper.items() if not n.startswith(("layer1.1.", "layer3."))}
    torch.save(shallower, tmp_path / "shallower.pth")
    with pytest.raises(DataError, match=r"(?s)shallower\.pth: .*missing layer3\.0\.conv1\.weight"):
        initialise_from_resnet(model, tmp_path / "shallower.pth")


def test_not_a_resnet(model: LangOcc, tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"other\.pth: expected the entries of a ResNet"):
        initialise_from_resnet(model, tmp_path / "other.pth")


def test_detector_takes_what_fits_and_lists_the_rest(model: LangOcc, tmp_path: Path) -> None:
    detector = {
        published_name(n, "language"): torch.randn(t.shape) if t.is_floating_point() else t
        for n, t in model.state_dict().items()
        if n.startswith(("backbone.", "neck.", "depth_net."))
    }
    logits = "img_view_transformer.depth_net.depth_conv.4.weight"
    detector[logits] = torch.zeros(118, 64, 1, 1)
    detector["pts_bbox_head.shared_conv.weight"] = torch.zeros(3)
    torch.save({"meta": {}, "state_dict": detector}, tmp_path / "detector.pth")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    account = initialise_from_detector(model, tmp_path / "detector.pth")
    assert set(account.unused) == {logits, "pts_bbox_head.shared_conv.weight"}
    for name, tensor in model.state_dict().items():
        if name in account.taken:
            assert torch.equal(tensor, detector[published_name(name, "language")]), name
        else:
            assert torch.equal(tensor, before[name]), name
    assert "depth_net.logits.weight" in account.kept
    assert "depth_net.reduce.0.weight" in account.taken


def test_detector_without_the_whole_backbone_is_refused(model: LangOcc, tmp_path: Path) -> None:
    backbone = {f"img_backbone.{n}": t for n, t in model.backbone.state_dict().items()}
    partial = {n: t for n, t in backbone.items() if not re.search("layer4.*weight", n)}
    torch.save({"state_dict": partial}, tmp_path / "detector.pth")
    with pytest.raises(DataError, match=r"missing img_backbone\.layer4\.0\.conv1\.weight"):
        initialise_from_detector(model, tmp_path / "detector.pth")
