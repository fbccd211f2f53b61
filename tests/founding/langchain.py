"""What the founding document imports from LangChain before 0.1.

`Tool` and `OpenAI` are real classes on langchain-core; the document's `initialize_agent` is gone
from LangChain, so the loop it made is here in its simplest form.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

pytest.importorskip("langchain_core", reason="the document's LangChain tool needs langchain-core")

from langchain_core.language_models.llms import LLM
from langchain_core.tools import BaseTool


class Tool(BaseTool):
    """A tool whose subclass need not call `super().__init__`: the document's does not.

    No version of LangChain allowed that; its tools are pydantic models, which cannot be assigned to
    before they are initialized. So that happens one step earlier here.
    """

    def __new__(cls, *_args: object, **_kwargs: object) -> Tool:
        tool = super().__new__(cls)
        BaseTool.__init__(tool, name="unnamed", description="")
        return tool

    def _run(self, *_args: Any, **_kwargs: Any) -> Any:
        raise NotImplementedError


class OpenAI(LLM):
    """A model that wants 6 * 7 computed, and then answers with what came of it."""

    code: str = "print('computing')\n6 * 7"

    @property
    def _llm_type(self) -> str:
        return "stand-in"

    def _call(self, prompt: str, stop: Any = None, run_manager: Any = None, **_: Any) -> str:
        seen = re.findall(r"^Observation: (.*)", prompt, re.DOTALL | re.MULTILINE)
        if seen:
            return f"Final Answer: {seen[-1]}"
        tool = re.findall(r"^Tool: (\S+)", prompt, re.MULTILINE)[0]
        return f"Action: {tool}\nAction Input: {self.code}"


class Agent:
    """Asks the model, runs the tool it names, and shows it what came of that, until it answers."""

    def __init__(self, tools: list[BaseTool], model: LLM) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._model = model

    def run(self, question: str) -> str:
        prompt = "".join(f"Tool: {t.name} {t.description}\n" for t in self._tools.values())
        prompt += f"Question: {question}\n"
        while "Final Answer: " not in (reply := self._model.invoke(prompt)):
            action = re.fullmatch(r"Action: (\S+)\nAction Input: (.*)", reply, re.DOTALL)
            assert action, reply
            observation = self._tools[action[1]].invoke(action[2])
            prompt += f"{reply}\nObservation: {observation}"
        return reply.removeprefix("Final Answer: ")


def initialize_agent(tools: list[BaseTool], model: LLM, agent: str) -> Agent:
    assert agent == "zero-shot-react-description"
    return Agent(tools, model)
