from tests.founding.langchain import Tool
from localbox import CodeInterpreter

class E2BTool(Tool):
    def __init__(self):
        self.name = "e2b_executor"
        self.description = "Execute Python code in a sandboxed cloud environment"
    
    def _run(self, code: str) -> str:
        with CodeInterpreter() as sandbox:
            result = sandbox.notebook.exec_cell(code)
            return f"Output: {result.text}\nData: {result.data}"
    
    async def _arun(self, code: str) -> str:
        # Async version
        return self._run(code)

# Use in LangChain
from tests.founding.langchain import initialize_agent
from tests.founding.langchain import OpenAI

tools = [E2BTool()]
agent = initialize_agent(tools, OpenAI(), agent="zero-shot-react-description")
