class MultiTenantExcelAnalyzer:
    def __init__(self, e2b_api_key):
        self.api_key = e2b_api_key
        self.tenant_sandboxes = {}
    
    async def analyze_for_tenant(self, tenant_id, excel_file):
        # Ensure isolation between tenants
        sandbox_key = f"tenant_{tenant_id}"
        
        if sandbox_key not in self.tenant_sandboxes:
            self.tenant_sandboxes[sandbox_key] = CodeInterpreter(
                api_key=self.api_key,
                metadata={"tenant_id": tenant_id}
            )
        
        sandbox = self.tenant_sandboxes[sandbox_key]
        
        # Tenant-specific analysis
        with open(excel_file, 'rb') as f:
            sandbox.upload_file(f, f"/tmp/{tenant_id}_data.xlsx")
        
        result = sandbox.notebook.exec_cell(f"""
        import pandas as pd
        df = pd.read_excel('/tmp/{tenant_id}_data.xlsx')
        # Analysis specific to tenant...
        """)
        
        return result
