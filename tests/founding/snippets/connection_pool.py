class E2BConnectionPool:
    """Reuse sandboxes for better performance"""
    
    def __init__(self, pool_size=3):
        self.pool = []
        self.in_use = set()
        self.pool_size = pool_size
    
    async def acquire(self):
        # Try to get from pool
        for sandbox in self.pool:
            if sandbox not in self.in_use:
                self.in_use.add(sandbox)
                return sandbox
        
        # Create new if under limit
        if len(self.pool) < self.pool_size:
            sandbox = CodeInterpreter()
            self.pool.append(sandbox)
            self.in_use.add(sandbox)
            return sandbox
        
        # Wait for available sandbox
        while True:
            await asyncio.sleep(0.1)
            for sandbox in self.pool:
                if sandbox not in self.in_use:
                    self.in_use.add(sandbox)
                    return sandbox
    
    def release(self, sandbox):
        sandbox.notebook.exec_cell("globals().clear()")  # Clear state
        self.in_use.remove(sandbox)
