class E2BExcelAnalyzer:
    def __init__(self, api_key):
        self.api_key = api_key
    
    async def analyze_excel(self, file_path):
        with CodeInterpreter(api_key=self.api_key) as sandbox:
            # Upload Excel file
            with open(file_path, 'rb') as f:
                sandbox.upload_file(f, '/tmp/input.xlsx')
            
            # Analysis code
            analysis_code = """
            import pandas as pd
            import matplotlib.pyplot as plt
            import seaborn as sns
            
            # Load all sheets
            excel_file = pd.ExcelFile('/tmp/input.xlsx')
            sheets = {}
            
            for sheet_name in excel_file.sheet_names:
                sheets[sheet_name] = pd.read_excel(excel_file, sheet_name=sheet_name)
                print(f"\\nSheet: {sheet_name}")
                print(f"Shape: {sheets[sheet_name].shape}")
                print(sheets[sheet_name].head())
            
            # Generate summary statistics
            summary = {}
            for name, df in sheets.items():
                summary[name] = {
                    'rows': len(df),
                    'columns': len(df.columns),
                    'numeric_columns': len(df.select_dtypes(include=['number']).columns),
                    'missing_values': df.isnull().sum().sum()
                }
            
            # Create visualizations
            fig, axes = plt.subplots(len(sheets), 1, figsize=(10, 6*len(sheets)))
            if len(sheets) == 1:
                axes = [axes]
            
            for idx, (name, df) in enumerate(sheets.items()):
                numeric_cols = df.select_dtypes(include=['number']).columns
                if len(numeric_cols) > 0:
                    df[numeric_cols].plot(kind='box', ax=axes[idx])
                    axes[idx].set_title(f'Numeric Distributions - {name}')
            
            plt.tight_layout()
            plt.savefig('/tmp/analysis.png')
            
            # Return summary
            summary
            """
            
            # Execute analysis
            result = sandbox.notebook.exec_cell(analysis_code)
            
            # Download results
            if sandbox.exists('/tmp/analysis.png'):
                plot_data = sandbox.download_file('/tmp/analysis.png')
                with open('excel_analysis.png', 'wb') as f:
                    f.write(plot_data)
            
            return {
                'output': result.text,
                'data': result.data,
                'files': ['excel_analysis.png']
            }
