class E2BResourceManager:
    def __init__(self, max_sandboxes=5):
        self.max_sandboxes = max_sandboxes
        self.active_sandboxes = []
        self.available_sandboxes = []
    
    def get_sandbox(self):
        if self.available_sandboxes:
            return self.available_sandboxes.pop()
        elif len(self.active_sandboxes) < self.max_sandboxes:
            sandbox = Sandbox()
            self.active_sandboxes.append(sandbox)
            return sandbox
        else:
            raise Exception("Maximum sandbox limit reached")
    
    def release_sandbox(self, sandbox):
        sandbox.clear()  # Reset state
        self.available_sandboxes.append(sandbox)
    
    def cleanup(self):
        for sandbox in self.active_sandboxes + self.available_sandboxes:
            sandbox.close()
