from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from safetensors.torch import save_file

from medrestore.errors import MedrestoreError
from medrestore.metrics import (
    BrisqueModel,
    NiqeModel,
    niqe,
    read_brisque_model,
    read_niqe_model,
    write_niqe_model,
)


def statistics() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    root = random.normal(0, 0.2, (36, 50))
    covariance = root @ root.T
    return random.uniform(0, 1, 36), (covariance + covariance.T) / 2


def brisque_text() -> tuple[str, str]:
    """A regression of two support vectors, the second sparse, and its range."""
    model = "svm_type epsilon_svr\nkernel_type rbf\ngamma 0.05\nnr_class 2\ntotal_sv 2\nrho -12.5\nprobA 5.7\nSV\n"
    model += "-3.5 " + " ".join(f"{i}:{i / 36:.4f}" for i in range(1, 37)) + " \n1024 2:0.5 36:-0.25 \n"
    scale = "x\n-1 1\n" + "".join(f"{i} {-i}e-1 {i / 4}\n" for i in range(1, 37))
    return model, scale


def brisque_folder(folder: Path, model: str | None = None, scale: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    texts = brisque_text()
    (folder / "live_allmodel").write_text(texts[0] if model is None else model)
    (folder / "live_allrange").write_text(texts[1] if scale is None else scale)
    return folder


@pytest.mark.parametrize("kind", ["mat", "npz"])
def test_published_niqe_models(kind: str, tmp_path: Path) -> None:
    mean, covariance = statistics()
    path = tmp_path / f"model.{kind}"
    if kind == "mat":
        scipy.io.savemat(path, {"mu_prisparam": mean[None], "cov_prisparam": covariance})
    else:
        np.savez(path, mu_pris_param=mean[None], cov_pris_param=covariance, gaussian_window=np.ones((7, 7)))
    model = read_niqe_model(path)
    assert model.mean.dtype == torch.float64 and model.mean.tolist() == mean.tolist()
    assert np.array_equal(model.covariance.numpy(), covariance)
    assert (model.block, model.threshold, model.about) == (96, 0.75, {})
    image = torch.rand(1, 1, 192, 96, generator=torch.Generator().manual_seed(0))
    assert float(niqe(image, params=str(path))) == float(niqe(image, params=model)) > 0


def test_a_fitted_model_comes_back_whole(tmp_path: Path) -> None:
    mean, covariance = map(torch.from_numpy, statistics())
    about = {"collection": "clinic", "keys": ["a", "b"], "groups": ["g"], "window": [50, 350]}
    path = write_niqe_model(tmp_path / "deep" / "own.safetensors", NiqeModel(mean, covariance, 48, 0.25, about))
    model = read_niqe_model(path)
    assert torch.equal(model.mean, mean) and torch.equal(model.covariance, covariance)
    assert (model.block, model.threshold, model.about) == (48, 0.25, about)
    assert [file.name for file in path.parent.iterdir()] == ["own.safetensors"]
    write_niqe_model(path, NiqeModel(mean + 1, covariance, 32))
    assert read_niqe_model(path).block == 32  # a file that was written anew is read anew


def test_a_model_knows_what_it_was_fitted_on() -> None:
    mean, covariance = map(torch.from_numpy, statistics())
    about = {"keys": ["k1", "k2"], "groups": ["g1"], "generated": False}
    model = NiqeModel(mean, covariance, about=about)
    assert model.seen([("k9", "g9")]) == set()
    assert model.seen([("k2", "g9"), ("k9", "g1")]) == {"k2", "g1"}
    generated = NiqeModel(mean, covariance, about={**about, "generated": True})
    assert generated.seen([("k9", "g1")]) == set() and generated.seen([("k1", "g9")]) == {"k1"}
    assert NiqeModel(mean, covariance).seen([("k1", "g1")]) == set()


def test_niqe_files_of_the_wrong_kind(tmp_path: Path) -> None:
    mean, covariance = statistics()
    files = {name: tmp_path / name for name in ("a.mat", "b.npz", "c.safetensors", "d.txt", "e.mat", "f.npz", "g.mat")}
    scipy.io.savemat(files["a.mat"], {"weights": np.ones(3)})
    np.savez(files["b.npz"], mu_pris_param=mean[:35], cov_pris_param=covariance)
    save_file({"body.weight": torch.ones(2)}, files["c.safetensors"])
    files["d.txt"].write_text("svm_type epsilon_svr")
    files["e.mat"].write_bytes(b"no matrix")
    np.save(tmp_path / "f.npy", mean)
    (tmp_path / "f.npy").rename(files["f.npz"])
    scipy.io.savemat(files["g.mat"], {"mu_prisparam": mean, "cov_prisparam": np.triu(covariance)})
    told = {
        "a.mat": "it holds weights, not mu_prisparam",
        "b.npz": "a mean of 36 and a covariance of 36 x 36, found .35,",
        "c.safetensors": "holds body.weight, and was not written by fit_niqe",
        "d.txt": "no NIQE model by its name",
        "e.mat": "cannot be read as a NIQE model",
        "f.npz": "no archive of arrays",
        "g.mat": "not symmetric",
    }
    for name, path in files.items():
        with pytest.raises(MedrestoreError, match=told[name]) as caught:
            read_niqe_model(path)
        line = str(caught.value)
        assert "\n" not in line and str(path) in line and "metrics.niqe_params=FILE" in line
    for path, found in ((tmp_path, "a folder"), (tmp_path / "none.mat", "nothing")):
        with pytest.raises(MedrestoreError, match=f"found {found} there; type"):
            read_niqe_model(path)


@pytest.mark.parametrize("block", [95, 14, 0])
def test_a_block_that_cannot_be_halved(block: int) -> None:
    mean, covariance = map(torch.from_numpy, statistics())
    with pytest.raises(ValueError, match=f"even side of at least 16 px, found {block}"):
        NiqeModel(mean, covariance, block)


def test_brisque_by_folder_and_by_files(tmp_path: Path) -> None:
    folder = brisque_folder(tmp_path / "live")
    model = read_brisque_model(folder)
    assert model.support.shape == (2, 36) and model.support.dtype == torch.float64
    assert model.support[0].tolist() == [float(f"{i / 36:.4f}") for i in range(1, 37)]
    assert model.support[1].nonzero().flatten().tolist() == [1, 35] and model.support[1, 35] == -0.25
    assert model.weights.tolist() == [-3.5, 1024] and (model.gamma, model.rho) == (0.05, -12.5)
    assert (model.low, model.high) == (-1, 1)
    assert model.least.tolist() == pytest.approx([-i / 10 for i in range(1, 37)])
    assert model.most.tolist() == [i / 4 for i in range(1, 37)]
    pair = [str(folder / "live_allmodel"), str(folder / "live_allrange")]
    assert torch.equal(read_brisque_model(pair).support, model.support)
    assert read_brisque_model(tuple(map(Path, pair))).rho == -12.5


def test_brisque_files_of_the_wrong_kind(tmp_path: Path) -> None:
    model, scale = brisque_text()
    wrong = {
        "svm_type is c_svc, not epsilon_svr": (model.replace("epsilon_svr", "c_svc"), scale),
        "kernel_type is not given, not rbf": (model.replace("kernel_type rbf\n", ""), scale),
        "cut short: 1 of 2": (model[: model.index("1024")], scale),
        "no line SV": ("nothing", scale),
        "feature 37 is none of 1 to 36": (model.replace("2:0.5", "37:0.5"), scale),
        "could not convert": (model.replace("2:0.5", "2:half"), scale),
        "found 37 lines": (model, scale[: scale.index("36 ")]),
        "empty or inverted": (model, scale.replace("36 -36e-1 9.0", "36 9 9")),
        "not finite": (model, scale.replace("36 -36e-1 9.0", "35 -36e-1 9.0")),
    }
    for number, (told, texts) in enumerate(wrong.items()):
        with pytest.raises(MedrestoreError, match=told) as caught:
            read_brisque_model(brisque_folder(tmp_path / str(number), *texts))
        assert "\n" not in str(caught.value) and "metrics.brisque_params=DIR" in str(caught.value)
    folder = brisque_folder(tmp_path / "swapped")
    with pytest.raises(MedrestoreError, match=r"live_allrange is not a LIBSVM regression"):
        read_brisque_model([folder / "live_allrange", folder / "live_allmodel"])
    (folder / "live_allmodel").write_bytes(b"\x89PNG\xff")
    with pytest.raises(MedrestoreError, match="it is no text"):
        read_brisque_model(folder)


def test_brisque_files_that_are_not_there(tmp_path: Path) -> None:
    folder = brisque_folder(tmp_path / "live")
    with pytest.raises(MedrestoreError, match="live_allmodel is one file, BRISQUE needs allmodel and allrange; type"):
        read_brisque_model(folder / "live_allmodel")
    with pytest.raises(MedrestoreError, match="nowhere does not exist"):
        read_brisque_model(tmp_path / "nowhere")
    with pytest.raises(MedrestoreError, match="found 1 paths"):
        read_brisque_model([folder / "live_allmodel"])
    with pytest.raises(MedrestoreError, match=r"no file at .*gone"):
        read_brisque_model([folder / "live_allmodel", folder / "gone"])
    (folder / "other_allmodel").write_text("")
    with pytest.raises(MedrestoreError, match="found live_allmodel, other_allmodel"):
        read_brisque_model(folder)
    (folder / "live_allrange").unlink()
    (folder / "other_allmodel").unlink()
    with pytest.raises(MedrestoreError, match=r"one file \*allrange in .*, found none"):
        read_brisque_model(folder)


def test_a_regression_of_another_size() -> None:
    some = torch.ones(2, 36, dtype=torch.float64)
    with pytest.raises(ValueError, match="36 features"):
        BrisqueModel(some, torch.ones(3), 0.05, 0.0, -some[0], some[0])
