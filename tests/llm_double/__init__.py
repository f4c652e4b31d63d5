"""A loopback double of two interfaces to language models; see tests.llm_double.server."""

from tests.llm_double.server import KEY, Asked, LlmDouble, Status, numbers_in, reply_to

__all__ = ["KEY", "Asked", "LlmDouble", "Status", "numbers_in", "reply_to"]
