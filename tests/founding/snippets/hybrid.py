class HybridExecutor:
    """Combine E2B with local notebook execution"""
    
    def __init__(self, notebook_cli, e2b_api_key):
        self.notebook_cli = notebook_cli
        self.e2b_api_key = e2b_api_key
    
    async def execute_based_on_security(self, code, file_path):
        # Analyze code for security risks
        if self._is_safe_code(code):
            # Execute locally for better performance
            return await self.notebook_cli.execute_code(code)
        else:
            # Execute in E2B sandbox for security
            with CodeInterpreter(api_key=self.e2b_api_key) as sandbox:
                # Upload file if needed
                if file_path:
                    with open(file_path, 'rb') as f:
                        sandbox.upload_file(f, '/tmp/input.xlsx')
                
                result = sandbox.notebook.exec_cell(code)
                return result
    
    def _is_safe_code(self, code):
        # Check for potentially dangerous operations
        dangerous_patterns = [
            'os.system', 'subprocess', '__import__',
            'exec', 'eval', 'open.*w', 'shutil.rmtree'
        ]
        return not any(pattern in code for pattern in dangerous_patterns)
