class E2BCodeExecutor:
    def __init__(self, llm_client, e2b_api_key):
        self.llm = llm_client
        self.e2b_api_key = e2b_api_key
    
    async def analyze_with_code(self, user_query):
        # Get code from LLM
        prompt = f"""
        Write Python code to: {user_query}
        Include data loading, analysis, and visualization.
        Save any plots to /tmp/output.png
        """
        
        code = self.llm.generate(prompt)
        
        # Execute in E2B
        with CodeInterpreter(api_key=self.e2b_api_key) as sandbox:
            result = sandbox.notebook.exec_cell(code)
            
            # Check for outputs
            outputs = []
            if sandbox.exists('/tmp/output.png'):
                plot = sandbox.download_file('/tmp/output.png')
                outputs.append(('plot', plot))
            
            return {
                'code': code,
                'output': result.text,
                'data': result.data,
                'files': outputs
            }
