async def robust_e2b_execution(code, max_retries=3):
    for attempt in range(max_retries):
        sandbox = None
        try:
            sandbox = CodeInterpreter()
            result = sandbox.notebook.exec_cell(code)
            
            if result.error:
                if attempt < max_retries - 1:
                    # Retry with modified code
                    code = fix_common_errors(code, result.error)
                    continue
                else:
                    raise Exception(f"Execution failed: {result.error}")
            
            return result
            
        except Exception as e:
            if attempt < max_retries - 1:
                await asyncio.sleep(2 ** attempt)  # Exponential backoff
            else:
                raise
        finally:
            if sandbox:
                sandbox.close()
