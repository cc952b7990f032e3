"""The commands of mnist-lite, and what their help says. To add a command, add a module beside ``train.py`` and an entry here."""

from __future__ import annotations

from dataclasses import dataclass

RECIPE_GROUPS = ("model", "data", "augment", "optimizer", "scheduler", "experiment")
"""Folders of ``conf/`` whose files make up a recipe."""


@dataclass(frozen=True)
class Command:
    """What the help of a command says, beside the contents of ``conf/``."""

    summary: str
    """One line of at most 65 characters."""
    examples: tuple[str, ...]
    """Arguments of the command."""
    details: str = ""
    """More sentences after ``summary``."""
    config: str = ""
    """The name of the command's config file in ``conf/``. Empty: the command takes no config."""
    groups: tuple[str, ...] = ()
    """Folders of ``conf/`` whose files the help lists."""
    keys: tuple[tuple[str, str], ...] = ()
    """Config files whose keys the help lists, relative to ``conf/``, and the prefix of their keys."""
    notes: str = ""
    """The last paragraph of the help."""


CHOICES_AND_FLAGS = (
    "A choice such as model=step3 is the file conf/model/step3.yaml. Your own files go to <folder>/<group>/<name>.yaml. The flag "
    "--config-dir <folder> finds them. --cfg job prints the composed config and does nothing else. --hydra-help explains all "
    "flags."
)
WHERE_MNIST_IS = "MNIST is read from the folder that the variable MNIST_LITE_DATA names, or from data."
AS_TRAIN = f"All keys and choices of the train command are allowed, too: see its --help. {CHOICES_AND_FLAGS}"
COMMANDS = {
    "train": Command(
        "Trains a network on MNIST and writes a run folder.",
        (
            "model=step3",
            "experiment=era4 seed=1",
            "model=step3 optimizer=sgd optimizer.lr=0.1 epochs=5",
            "-m model=step3 optimizer.lr=0.01,0.03,0.1",
            "sweep=lr experiment=era4",
            "resume=runs/<run>",
            "resume=latest",
            "experiment=smoke",
        ),
        "With -m, or with a sweep=<name> other than free, it trains one network for every combination of the values and writes a "
        "table.",
        "config",
        (*RECIPE_GROUPS, "sweep", "hydra/launcher"),
        (("config.yaml", ""), ("data/mnist.yaml", "data.")),
        "A model, an optimizer, a scheduler and an augmentation have their own keys, such as optimizer.lr. To see the keys of a "
        f"choice, add --cfg job: model=era4 optimizer=sgd --cfg job. {CHOICES_AND_FLAGS}",
    ),
    "summary": Command(
        "Prints the layers of a model and checks its budget.",
        (
            "model=step3",
            "model=step3 format=json",
            "model=era4 picture=fields.png",
            "latest picture=fields.png",
            "experiment=era4 budget.enforce=true",
            "--config-dir mine model=tiny",
        ),
        "Each layer has its output shape, parameters, multiply-adds, receptive field and memory. Nothing is trained. A run "
        "folder, latest or zoo:<name> in the place of the keys shows a trained network.",
        "summary",
        ("model", "experiment"),
        (("summary.yaml", ""),),
        AS_TRAIN,
    ),
    "bench": Command(
        "Measures the training speed against a plain PyTorch loop.",
        ("model=era4", "model=era4 rounds=3 images=3200", "model=step3 augment=none threads=1"),
        "It uses real MNIST and writes no run folder.",
        "bench",
        ("model", "augment", "optimizer", "scheduler", "experiment"),
        (("bench.yaml", ""),),
        AS_TRAIN,
    ),
    "preview": Command(
        "Shows the images of a data set, and an augmentation.",
        (
            "data=mnist",
            "augment=rotation augment.degrees=15",
            "augment=strong image=7 picture=strong.png",
        ),
        "It prints the number of images of each class, how mean and standard deviation are obtained, a sample of each class, and "
        "one image with the augmentation. The picture has more of them. Nothing is trained.",
        "preview",
        ("data", "augment", "experiment"),
        (("preview.yaml", ""), ("data/mnist.yaml", "data.")),
        AS_TRAIN,
    ),
    "lr_find": Command(
        "Suggests a learning rate by a short range test.",
        ("experiment=era4", "model=step3 optimizer=sgd steps=400", "experiment=era4 output=pictures"),
        "It trains for some steps with rates that grow exponentially. It uses the data, augmentation, batch size and kernels of "
        "the recipe. It prints three suggestions, and writes a picture and a JSON file. optimizer.lr=auto uses the first one.",
        "lr_find",
        ("model", "augment", "optimizer", "experiment"),
        (("lr_find.yaml", ""),),
        AS_TRAIN,
    ),
    "compare": Command(
        "Compares a sweep, or any runs and sweeps: table and pictures.",
        (
            "runs/sweeps/<name>",
            "runs/sweeps/<name> verify=true",
            "runs/<run> latest",
            "'runs/*_era4' runs/sweeps/<name> output=comparison",
        ),
        "For one sweep, it prints the table and draws the plots in the folder of the sweep again. It can be used while the sweep "
        "runs. For several names, it shows the figures, the differences of the configs, and which is better. Runs that differ "
        "in their seed only are one group.",
    ),
    "runs": Command(
        "Lists run folders, newest first.",
        ("count=200", "runs/sweeps/<name>"),
        "Each line has the name, what was changed, the epochs, the test accuracy and the state: running, interrupted, failed or "
        "done. The runs of sweeps are listed, too.",
    ),
    "evaluate": Command(
        "Evaluates trained networks and shows what they look at.",
        (
            "latest",
            "runs/<run> image=7",
            "'runs/*_era4' runs/sweeps/<name>",
            "'students/*' budget='{parameters: 8000, accuracy: 99.4}'",
        ),
        "For one run, it prints all figures and draws the confusion matrix, the calibration, the worst mistakes, class maps, "
        "filters and feature maps. For several runs, it prints one line for each. With a budget, it grades the runs: the exit "
        "code is 1 if one does not pass. All figures are measured with the weights in last.pt. The run folders do not change. "
        f"{WHERE_MNIST_IS}",
    ),
    "report": Command(
        "Writes one HTML page that shows runs, to look at and to share.",
        ("zoo:era4", "latest", "runs/sweeps/<name>", "'runs/*_era4' runs/sweeps/<name> output=ours.html"),
        "The page needs no server and no network. It has the curves, the layers, the confusion matrix, the mistakes, the "
        "calibration and the commands that train the runs again. For one run of at most 500,000 parameters it has a canvas, on "
        "which the network reads the digit that you draw. The run folders do not change. "
        f"{WHERE_MNIST_IS}",
    ),
    "predict": Command(
        "Classifies your own images, such as photos of pen on paper.",
        ("zoo:era4 seven.png", "latest photo.jpg drawing.png", "zoo:era4 - format=json < seven.png"),
        "An image can have any size. It must show one digit, dark on light or light on dark. It is prepared as MNIST was. The "
        "output shows what the network was given.",
    ),
    "export": Command(
        "Exports a network as ONNX, safetensors or PyTorch's pt2.",
        ("zoo:era4 format=onnx", "latest format=safetensors", "runs/<run> format=pt2 output=mine.pt2"),
        "The exported network takes raw pixels. It is checked on all test images before its file is written. The format onnx "
        f'needs the extra onnx: in the checkout, pip install -e ".[onnx]". {WHERE_MNIST_IS}',
    ),
    "completion": Command(
        "Prints a script that completes commands with the TAB key.",
        ("bash >> ~/.bashrc", "zsh >> ~/.zshrc", "fish > ~/.config/fish/completions/mnist-lite.fish"),
        "It completes the names of commands, config files and keys: model=st<TAB> becomes model=step3. Each example installs it "
        "for one shell, from the next start of the shell on.",
    ),
}
"""By name, which is the name of the module, too. Users may write ``lr-find`` for ``lr_find``."""
