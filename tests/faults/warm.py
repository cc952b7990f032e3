"""Imported only by the server that forks the children: see ``child.py``."""

from tests.faults.child import warm_up

warm_up()
