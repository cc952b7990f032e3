"""The loops that ``bench peers=...`` measures beside the plain loop and ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mnist_lite.backends.kernels.build import BuildError, compiler_command
from mnist_lite.benchmark.ab import MakeLoop
from mnist_lite.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Peer:
    """A loop, and what it needs."""

    loop: str
    """The module in this package and the function. The module is imported only if the loop is measured."""
    packages: tuple[str, ...]
    """The first one computes."""
    missing: Callable[[], str] = lambda: ""
    """Says what else the loop needs and this machine does not have. Empty: nothing."""

    @property
    def make_loop(self) -> MakeLoop:
        """The function that makes the loop."""
        module, _, function = self.loop.partition(".")
        make_loop: MakeLoop = getattr(import_module(f"mnist_lite.benchmark.{module}"), function)
        return make_loop

    @property
    def version(self) -> str:
        """The package that computes, with its version."""
        return f"{self.packages[0]} {version(self.packages[0]).partition('+')[0]}"

    @property
    def obstacle(self) -> str:
        """Why this machine cannot run the loop; empty if it can."""
        for package in self.packages:
            try:
                version(package)
            except PackageNotFoundError:
                return f'{package} is not installed; in the checkout: pip install -e ".[peers]"'
        return self.missing()


def _missing_compiler() -> str:
    try:
        return "" if compiler_command() else "there is no C++ compiler"
    except BuildError as error:
        return str(error)


PLAIN = Peer("loops.baseline_loop", ("torch",))
OURS = Peer("loops.our_loop", ("mnist-lite",))
PEERS = {
    "workers": Peer("loops.workers_loop", ("torch",)),
    "eager": Peer("loops.eager_loop", ("torch",)),
    "compile": Peer("loops.compiled_loop", ("torch",), _missing_compiler),
    "jax": Peer("jax_peer.jax_loop", ("jax", "optax")),
}


def select_peers(names: Any) -> dict[str, Peer]:
    """The peers of the config's ``peers``: ``none``, ``all``, or a list of names. In the order of ``PEERS``.

    Raises:
        UserError: an unknown name.
    """
    if names in ("none", "all"):
        return PEERS if names == "all" else {}
    if not isinstance(names, list):
        raise UserError(f"peers: {names!r} is not allowed; expected none, all, or a list such as [{', '.join(PEERS)}]")
    for name in names:
        if name not in PEERS:
            raise UserError(f"peers: {name!r} is not allowed; {did_you_mean(str(name), PEERS)}")
    return {name: peer for name, peer in PEERS.items() if name in names}
