# Upload files
with open('local_data.xlsx', 'rb') as f:
    sandbox.upload_file(f, '/tmp/data.xlsx')

# Download files
content = sandbox.download_file('/tmp/output.png')
with open('local_output.png', 'wb') as f:
    f.write(content)

# List files
files = sandbox.list('/tmp')
for file in files:
    print(f"{file.name} - {file.size} bytes")
