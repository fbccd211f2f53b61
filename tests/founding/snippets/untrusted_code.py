async def execute_user_provided_code(user_code, timeout=30):
    """Safely execute user-provided analysis code"""
    
    # Wrap in safety checks
    wrapped_code = f"""
import signal
import sys

def timeout_handler(signum, frame):
    raise TimeoutError("Execution timed out")

signal.signal(signal.SIGALRM, timeout_handler)
signal.alarm({timeout})

try:
    {user_code}
finally:
    signal.alarm(0)
"""
    
    with CodeInterpreter() as sandbox:
        result = sandbox.notebook.exec_cell(wrapped_code)
        return result
