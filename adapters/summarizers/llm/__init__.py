"""The engine that asks a language model, over the network, and the extractive one where that does not work.

Chat is untrusted text here, and so is what a model answers: see prompts, harmless and replies.
"""

from adapters.summarizers.llm.config import ModelConfig, configured_model
from adapters.summarizers.llm.engine import ModelEngine

__all__ = ["ModelConfig", "ModelEngine", "configured_model"]
