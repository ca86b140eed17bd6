"""What every command of training does around its work: refusals end in a sentence, long work shows a bar a stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import click

from features.dataset import DatasetRefused
from features.progress import bar
from models.bundle import BundleRefused


@contextmanager
def refusing() -> Iterator[None]:
    """Refusals of input end with their reason on standard error and exit code 1, never with a traceback."""
    try:
        yield
    except (DatasetRefused, BundleRefused, ValueError) as error:
        raise click.ClickException(str(error)) from error
    except Exception as error:
        # Known by its name: to import MLflow for the class would cost commands that never use it a second.
        if all(kind.__name__ != "MlflowException" for kind in type(error).__mro__):
            raise
        raise click.ClickException(f"MLflow's store refused: {error}") from error


@contextmanager
def stages() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """One bar a stage, each closed when the next begins."""
    with ExitStack() as stack:

        def begin(stage: str) -> Callable[[int, int], None]:
            stack.close()
            return stack.enter_context(bar(stage))

        yield begin
