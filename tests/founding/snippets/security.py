class SecureE2BExecutor:
    def __init__(self):
        self.blocked_imports = ['os', 'subprocess', 'sys']
        self.blocked_functions = ['exec', 'eval', '__import__']
    
    def sanitize_code(self, code):
        """Remove potentially dangerous code"""
        lines = code.split('\n')
        sanitized = []
        
        for line in lines:
            # Check for blocked imports
            if any(f"import {mod}" in line for mod in self.blocked_imports):
                sanitized.append(f"# BLOCKED: {line}")
            # Check for blocked functions
            elif any(func in line for func in self.blocked_functions):
                sanitized.append(f"# BLOCKED: {line}")
            else:
                sanitized.append(line)
        
        return '\n'.join(sanitized)
    
    def execute_safely(self, code):
        sanitized_code = self.sanitize_code(code)
        
        with CodeInterpreter() as sandbox:
            # Set resource limits
            sandbox.set_limits(
                max_memory="512MB",
                max_cpu="1",
                timeout=60
            )
            
            result = sandbox.notebook.exec_cell(sanitized_code)
            return result
