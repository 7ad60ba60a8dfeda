"""decoder-qa: the checks a team runs before it ships a generative image decoder."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qa.run import Evaluation, evaluate

__version__ = "0.1.0"
__all__ = ["Evaluation", "__version__", "evaluate"]


def __getattr__(name: str) -> Any:
    """Import the pipeline on first use, so that `import qa` stays light (PEP 562)."""
    if name in {"Evaluation", "evaluate"}:
        import qa.run

        return getattr(qa.run, name)
    raise AttributeError(f"module 'qa' has no attribute {name!r}")
