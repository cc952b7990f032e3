"""Imported by the server that forks the children, and by nobody else."""

from tests.faults.child import warm_up

warm_up()
