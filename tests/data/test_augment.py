from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as tv

from mnist_lite.data.augment import affine, pipeline, pixels
from mnist_lite.errors import UserError

N = 20_000


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blob(n: int, x: float = 0.0, y: float = 0.0) -> torch.Tensor:
    """A smooth spot, ``x`` pixels right of the centre and ``y`` pixels below it."""
    places = torch.arange(28) - 13.5
    spot = torch.exp(-((places[None, :] - x) ** 2 + (places[:, None] - y) ** 2) / 8)
    return spot.expand(n, 1, 28, 28).clone()


def centre(images: torch.Tensor) -> torch.Tensor:
    """``(N, 2)``: centre of mass (x, y) about the middle of the image."""
    places = torch.arange(28) - 13.5
    mass = images.sum((1, 2, 3))
    return (
        torch.stack([(images * places).sum((1, 2, 3)), (images * places[:, None]).sum((1, 2, 3))], dim=1)
        / mass[:, None]
    )


def assert_uniform(values: torch.Tensor, low: float, high: float) -> None:
    """Kolmogorov-Smirnov test. 1.63 / sqrt(n) is the bound at 1 %; with 3 / sqrt(n) a false alarm never happens."""
    ordered = ((values.double() - low) / (high - low)).sort().values
    assert ordered[0] >= -1e-5 and ordered[-1] <= 1 + 1e-5
    steps = torch.arange(1, len(ordered) + 1, dtype=torch.float64) / len(ordered)
    assert (ordered - steps).abs().max() < 3 / math.sqrt(len(ordered))


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def test_affine_parameters_are_random_per_image_and_uniform():
    angles = affine.rotate(N, seeded(), 10)
    assert_uniform(torch.rad2deg(torch.atan2(angles[:, 1, 0], angles[:, 0, 0])), -10, 10)
    shifts = affine.translate(N, seeded(), 3)
    assert_uniform(shifts[:, 0, 2], -3, 3)
    assert_uniform(shifts[:, 1, 2], -3, 3)
    assert abs(correlation(shifts[:, 0, 2], shifts[:, 1, 2])) < 0.05
    sizes = 1 / affine.scale(N, seeded(), 0.8, 1.3)[:, 0, 0]
    assert_uniform(sizes, 0.8, 1.3)
    slants = affine.shear(N, seeded(), 12)
    assert_uniform(torch.rad2deg(torch.atan(slants[:, 0, 1])), -12, 12)
    for maps in (angles, shifts, 1 / sizes, slants):
        assert len(maps.flatten(1).unique(dim=0) if maps.ndim > 1 else maps.unique()) > 0.99 * N


def test_pixel_parameters_are_random_per_image_and_uniform():
    grey = torch.full((N, 1, 28, 28), 0.5)[:, :, :2, :2]
    assert_uniform(pixels.brightness(grey, seeded(), 0.4)[:, 0, 0, 0], 0.3, 0.7)
    two_tone = grey.clone()
    two_tone[:, :, 0] = 0.6
    two_tone[:, :, 1] = 0.4
    stretched = pixels.contrast(two_tone, seeded(), 0.5)
    assert_uniform((stretched[:, 0, 0, 0] - stretched[:, 0, 1, 0]) / 0.2, 0.5, 1.5)
    noisy = pixels.noise(torch.full((2_000, 1, 28, 28), 0.5), seeded(), 0.1) - 0.5
    # the standard deviation of 784 draws is itself only known to 2.5 %, so a few at the top come out above 0.1
    assert_uniform(noisy.flatten(1).std(1).clamp(max=0.1), 0.0, 0.1)


def test_crop_moves_by_whole_pixels_uniformly():
    image = torch.zeros(N, 1, 28, 28)
    image[:, :, 14, 14] = 1
    place = pixels.crop(image, seeded(), 2).flatten(1).argmax(1)
    rows, columns = place // 28 - 14, place % 28 - 14
    for shifts in (rows, columns):
        counts = torch.bincount(shifts + 2, minlength=5)
        assert len(counts) == 5
        assert (counts - N / 5).abs().max() < 5 * math.sqrt(N / 5)
    assert abs(correlation(rows.float(), columns.float())) < 0.05


def test_crop_is_pad_and_slice():
    images = torch.rand(50, 1, 28, 28)
    tops, lefts = torch.randint(0, 7, (2, 50), generator=seeded(4))
    padded = F.pad(images, [3] * 4)
    expected = torch.stack(
        [padded[i, :, t : t + 28, c : c + 28] for i, (t, c) in enumerate(zip(tops, lefts, strict=True))]
    )
    assert torch.equal(pixels.crop(images, seeded(4), 3), expected)


def test_erase_draws_rectangles_with_the_given_area_and_probability():
    erased = pixels.erase(torch.ones(N, 1, 28, 28), seeded(), probability=0.4, min_area=0.05, max_area=0.1)
    holes = (erased == 0).flatten(1).sum(1)
    happened = holes > 0
    assert abs(float(happened.float().mean()) - 0.4) < 0.02
    inner = erased[happened][:, 0]
    rows, columns = (inner == 0).any(2).sum(1), (inner == 0).any(1).sum(1)
    assert torch.equal(rows * columns, holes[happened])  # one full rectangle
    uncut = (inner[:, 0].all(1)) & (inner[:, -1].all(1)) & (inner[:, :, 0].all(1)) & (inner[:, :, -1].all(1))
    share = holes[happened][uncut].float() / 784
    assert abs(float(share.mean()) - 0.075) < 0.004
    assert float(share.min()) > 0.03 and float(share.max()) < 0.13
    assert len(torch.stack([rows, columns], 1).unique(dim=0)) > 20


@pytest.mark.parametrize("angle", [-30.0, 7.0, 45.0])
def test_rotation_is_the_same_as_torchvisions(angle):
    images = blob(1, 5, -3)
    radians = torch.tensor([math.radians(angle)])
    cos, sin = radians.cos(), radians.sin()
    maps = affine.matrix(1, cos, -sin, 0.0, sin, cos, 0.0, images.device)
    expected = tv.rotate(images, angle, interpolation=tv.InterpolationMode.BILINEAR)
    assert torch.allclose(affine.resample(images, maps), expected, atol=1e-4)


def test_each_transform_moves_a_spot_in_its_direction():
    device = torch.device("cpu")
    moved = affine.resample(blob(1), affine.matrix(1, 1.0, 0.0, -3.0, 0.0, 1.0, -2.0, device))
    assert torch.allclose(centre(moved), torch.tensor([[3.0, 2.0]]), atol=0.02)
    shift = affine.translate(64, seeded(), 3)
    assert torch.allclose(centre(affine.resample(blob(64), shift)), -shift[:, :2, 2], atol=0.05)
    grown = affine.scale(64, seeded(), 1.0, 1.3)
    placed = centre(affine.resample(blob(64, 4, 0), grown))
    assert torch.allclose(placed[:, 0], 4 / grown[:, 0, 0], atol=0.1)
    slanted = affine.shear(64, seeded(), 20)
    placed = centre(affine.resample(blob(64, 0, 4), slanted))
    assert torch.allclose(placed[:, 0], -4 * slanted[:, 0, 1], atol=0.1)


def test_neighbouring_affine_transforms_are_one_resampling_in_order():
    """Rotate, then translate: the product moves a spot to the same position as the two transforms one after the other."""
    step = pipeline.build({"transforms": [{"rotate": 40}, {"translate": 4}]})
    generator = seeded(2)
    angle = affine.rotate(32, generator, 40)
    shift = affine.translate(32, generator, 4)
    one_by_one = affine.resample(affine.resample(blob(32, 4, 1), angle), shift)
    fused = step(blob(32, 4, 1), seeded(2))
    assert torch.allclose(centre(fused), centre(one_by_one), atol=0.1)
    assert fused.amax((1, 2, 3)).mean() > one_by_one.amax((1, 2, 3)).mean()  # blurred once, not twice


def test_elastic_moves_each_image_differently_by_the_expected_distance():
    images = torch.rand(1, 1, 28, 28).expand(64, 1, 28, 28).clone()
    bent = pixels.elastic(images, seeded(), alpha=8, sigma=4)
    assert len(bent.flatten(1).unique(dim=0)) == 64
    assert torch.allclose(pixels.elastic(images, seeded(), alpha=0, sigma=4), images, atol=1e-5)
    spots = centre(pixels.elastic(blob(4_000), seeded(), alpha=8, sigma=4))
    assert spots.mean(0).abs().max() < 0.05
    # the field is the mean of uniform +-1 draws under a Gaussian: standard deviation alpha * sqrt(1/3) / (2 sigma sqrt(pi))
    expected = 8 * math.sqrt(1 / 3) / (2 * 4 * math.sqrt(math.pi))
    assert abs(float(spots.std(0).mean()) / expected - 1) < 0.25


SHIPPED = ["rotation", "affine", "crop", "erase", "elastic", "photo", "strong"]


@pytest.mark.parametrize("name", SHIPPED)
def test_two_images_of_one_batch_differ(name, composed):
    step = pipeline.build(composed(f"augment={name}").augment)
    images = torch.rand(1, 1, 28, 28).expand(200, 1, 28, 28).clone()
    before = images.clone()
    out = step(images, seeded())
    assert torch.equal(images, before)  # nothing is done in place
    assert out.shape == images.shape and out.dtype == torch.float32
    assert float(out.min()) >= 0 and float(out.max()) <= 1
    assert len(out.flatten(1).unique(dim=0)) > (15 if name == "crop" else 40)
    assert torch.equal(out, step(images, seeded()))
    assert not torch.equal(out, step(images, seeded(1)))


def test_augment_none_changes_nothing(composed):
    images = torch.rand(3, 1, 28, 28)
    assert pipeline.build(composed("augment=none").augment)(images, seeded()) is images


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        (["rotat"], "did you mean rotate?"),
        ([{"rotate": "much"}], "a finite number"),
        ([{"rotate": -3}], "degrees must be in [0, 180]"),
        ([{"rotate": 3, "degres": 1}], "did you mean degrees?"),
        ([{"scale": 0.9}], "high: missing"),
        ([{"scale": 1.2, "high": 0.9}], "low <= high"),
        ([{"scale": 0.09, "high": 1}], "0.1 <= low <= high <= 10"),
        ([{"scale": 1, "high": 11}], "0.1 <= low <= high <= 10"),
        ([{"rotate": 500}], "entry 1 (rotate 500.0): degrees must be in [0, 180]"),
        ([{"translate": 29}], "pixels must be in [0, 28]"),
        ([{"shear": 90}], "[0, 90)"),
        ([{"erase": 2}], "probability"),
        ([{"crop": -1}], "[0, 28]"),
        ([{"noise": -0.1}], "[0, 1]"),
        ([{"brightness": 3}], "[0, 1]"),
        ([{"elastic": 3, "sigma": 0}], "sigma in (0, 28]"),
        ([{"elastic": 3, "sigma": 1e9}], "sigma in (0, 28]"),
        ([{"crop": 1_000_000}], "padding must be in [0, 28]"),
        ([{"rotate": math.nan}], "finite"),
        ([{"translate": math.inf}], "finite"),
    ],
)
def test_bad_transforms_are_one_line(transforms, message):
    with pytest.raises(UserError, match=r"augment\.transforms: entry 1") as caught:
        pipeline.build({"transforms": transforms})
    assert message in str(caught.value)


def test_the_largest_arguments_are_allowed():
    largest = [{"rotate": 180}, {"translate": 28}, {"scale": 0.1, "high": 10}, {"shear": 89}, {"crop": 28}]
    images = pipeline.build({"transforms": largest})(torch.rand(4, 1, 28, 28), seeded())
    assert bool(images.isfinite().all())


@pytest.mark.parametrize("size", [(28, 28), (7, 12)])
def test_resampling_by_one_product_is_affine_grid(size: tuple[int, int]):
    draws = torch.Generator().manual_seed(0)
    images, maps = torch.rand(20, 1, *size, generator=draws), torch.eye(3).repeat(20, 1, 1)
    maps[:, :2] += torch.randn(20, 2, 3, generator=draws) * 0.2
    height, width = size
    scale = torch.diag(torch.tensor([width / 2, height / 2, 1.0]))
    theta = (scale.inverse() @ maps @ scale)[:, :2]  # from pixels about the centre to torch's -1..1
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    expected = F.grid_sample(images, grid, align_corners=False)
    assert torch.allclose(affine.resample(images, maps), expected, atol=2e-5)
