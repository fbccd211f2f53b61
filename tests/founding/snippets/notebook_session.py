class E2BNotebookSession:
    def __init__(self, template="python-data-analysis"):
        self.sandbox = None
        self.cells = []
        self.template = template
    
    def start(self):
        self.sandbox = CodeInterpreter(template=self.template)
        return self
    
    def add_cell(self, code, cell_type='code'):
        cell = {
            'type': cell_type,
            'source': code,
            'execution_count': len(self.cells) + 1
        }
        
        if cell_type == 'code':
            result = self.sandbox.notebook.exec_cell(code)
            cell['output'] = {
                'text': result.text,
                'data': result.data,
                'error': result.error
            }
        
        self.cells.append(cell)
        return cell
    
    def to_notebook(self):
        """Convert to Jupyter notebook format"""
        import nbformat as nbf
        
        nb = nbf.v4.new_notebook()
        
        for cell in self.cells:
            if cell['type'] == 'code':
                nb_cell = nbf.v4.new_code_cell(
                    source=cell['source'],
                    execution_count=cell['execution_count']
                )
                if 'output' in cell:
                    output = cell['output']
                    if output['text']:
                        nb_cell.outputs.append(
                            nbf.v4.new_output(
                                output_type='stream',
                                name='stdout',
                                text=output['text']
                            )
                        )
                nb.cells.append(nb_cell)
            else:
                nb.cells.append(nbf.v4.new_markdown_cell(cell['source']))
        
        return nb
    
    def close(self):
        if self.sandbox:
            self.sandbox.close()
