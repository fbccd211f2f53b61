"""E2B's sandbox on this machine: the public names, each loaded when first asked for."""

from localbox._version import __version__ as __version__

# Type checkers take this name for true; importing typing for it would cost more than all below.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from localbox._async.command_handle import AsyncCommandHandle as AsyncCommandHandle
    from localbox._async.input_stream import AsyncCommandInputHandle as AsyncCommandInputHandle
    from localbox._async.sandbox import AsyncSandbox as AsyncSandbox
    from localbox._async.sandbox_paginator import AsyncSandboxPaginator as AsyncSandboxPaginator
    from localbox._async.secret import AsyncSecret as AsyncSecret
    from localbox._async.secret import AsyncSecretPaginator as AsyncSecretPaginator
    from localbox._async.snapshot_paginator import AsyncSnapshotPaginator as AsyncSnapshotPaginator
    from localbox._async.template import AsyncTemplate as AsyncTemplate
    from localbox._async.volume import AsyncVolume as AsyncVolume
    from localbox._async.watch_handle import AsyncWatchHandle as AsyncWatchHandle
    from localbox._sync.command_handle import CommandHandle as CommandHandle
    from localbox._sync.git import Git as Git
    from localbox._sync.sandbox import Sandbox as Sandbox
    from localbox._sync.sandbox_paginator import SandboxPaginator as SandboxPaginator
    from localbox._sync.secret import Secret as Secret
    from localbox._sync.secret import SecretPaginator as SecretPaginator
    from localbox._sync.snapshot_paginator import SnapshotPaginator as SnapshotPaginator
    from localbox._sync.template import Template as Template
    from localbox._sync.volume import Volume as Volume
    from localbox._sync.watch_handle import WatchHandle as WatchHandle
    from localbox.charts import BarChart as BarChart
    from localbox.charts import BarData as BarData
    from localbox.charts import BoxAndWhiskerChart as BoxAndWhiskerChart
    from localbox.charts import BoxAndWhiskerData as BoxAndWhiskerData
    from localbox.charts import Chart as Chart
    from localbox.charts import Chart2D as Chart2D
    from localbox.charts import ChartType as ChartType
    from localbox.charts import LineChart as LineChart
    from localbox.charts import PieChart as PieChart
    from localbox.charts import PieData as PieData
    from localbox.charts import PointChart as PointChart
    from localbox.charts import PointData as PointData
    from localbox.charts import ScaleType as ScaleType
    from localbox.charts import ScatterChart as ScatterChart
    from localbox.charts import SuperChart as SuperChart
    from localbox.code_interpreter import CodeInterpreter as CodeInterpreter
    from localbox.connection_config import ConnectionConfig as ConnectionConfig
    from localbox.connection_config import E2BClientParams as E2BClientParams
    from localbox.connection_config import HttpVersion as HttpVersion
    from localbox.connection_config import ProxyTypes as ProxyTypes
    from localbox.connection_config import VolumeApiParams as VolumeApiParams
    from localbox.connection_config import VolumeConnectionConfig as VolumeConnectionConfig
    from localbox.e2b_client import E2B as E2B
    from localbox.errors import AuthenticationException as AuthenticationException
    from localbox.errors import BuildException as BuildException
    from localbox.errors import CommandExitException as CommandExitException
    from localbox.errors import FileNotFoundException as FileNotFoundException
    from localbox.errors import FileUploadException as FileUploadException
    from localbox.errors import GitAuthException as GitAuthException
    from localbox.errors import GitUpstreamException as GitUpstreamException
    from localbox.errors import GuestUnresponsiveException as GuestUnresponsiveException
    from localbox.errors import InvalidArgumentException as InvalidArgumentException
    from localbox.errors import NotEnoughSpaceException as NotEnoughSpaceException
    from localbox.errors import NotFoundException as NotFoundException
    from localbox.errors import PolicyError as PolicyError
    from localbox.errors import ProtocolError as ProtocolError
    from localbox.errors import RateLimitException as RateLimitException
    from localbox.errors import SandboxException as SandboxException
    from localbox.errors import SandboxNotFoundException as SandboxNotFoundException
    from localbox.errors import SandboxNotRunningException as SandboxNotRunningException
    from localbox.errors import SandboxUnreachableException as SandboxUnreachableException
    from localbox.errors import SecretException as SecretException
    from localbox.errors import SecretNotFoundException as SecretNotFoundException
    from localbox.errors import ServiceBusyException as ServiceBusyException
    from localbox.errors import TemplateException as TemplateException
    from localbox.errors import TimeoutException as TimeoutException
    from localbox.errors import VolumeException as VolumeException
    from localbox.errors import VolumeNotFoundException as VolumeNotFoundException
    from localbox.errors import VolumePathNotFoundException as VolumePathNotFoundException
    from localbox.errors import WallError as WallError
    from localbox.execution import Context as Context
    from localbox.execution import Execution as Execution
    from localbox.execution import ExecutionError as ExecutionError
    from localbox.execution import Logs as Logs
    from localbox.execution import MIMEType as MIMEType
    from localbox.execution import OutputMessage as OutputMessage
    from localbox.execution import Result as Result
    from localbox.execution import RunCodeLanguage as RunCodeLanguage
    from localbox.git_models import GitBranches as GitBranches
    from localbox.git_models import GitFileStatus as GitFileStatus
    from localbox.git_models import GitResetMode as GitResetMode
    from localbox.git_models import GitStatus as GitStatus
    from localbox.mocking import mock_e2b as mock_e2b
    from localbox.models import ApiParams as ApiParams
    from localbox.models import AsyncWriteData as AsyncWriteData
    from localbox.models import CommandResult as CommandResult
    from localbox.models import EntryInfo as EntryInfo
    from localbox.models import FilesystemEvent as FilesystemEvent
    from localbox.models import FilesystemEventType as FilesystemEventType
    from localbox.models import FileType as FileType
    from localbox.models import Isolation as Isolation
    from localbox.models import OutputHandler as OutputHandler
    from localbox.models import ProcessInfo as ProcessInfo
    from localbox.models import PtyOutput as PtyOutput
    from localbox.models import PtySize as PtySize
    from localbox.models import SandboxEgressProxyInfo as SandboxEgressProxyInfo
    from localbox.models import SandboxEgressProxyTLSInfo as SandboxEgressProxyTLSInfo
    from localbox.models import SandboxInfo as SandboxInfo
    from localbox.models import SandboxInfoLifecycle as SandboxInfoLifecycle
    from localbox.models import SandboxLifecycle as SandboxLifecycle
    from localbox.models import SandboxNetworkInfo as SandboxNetworkInfo
    from localbox.models import SandboxNetworkRuleInfo as SandboxNetworkRuleInfo
    from localbox.models import SandboxNetworkTransform as SandboxNetworkTransform
    from localbox.models import SandboxOnTimeout as SandboxOnTimeout
    from localbox.models import SandboxState as SandboxState
    from localbox.models import SnapshotMode as SnapshotMode
    from localbox.models import Stderr as Stderr
    from localbox.models import Stdout as Stdout
    from localbox.models import Username as Username
    from localbox.models import Wall as Wall
    from localbox.models import WriteData as WriteData
    from localbox.models import WriteEntry as WriteEntry
    from localbox.models import WriteInfo as WriteInfo
    from localbox.models_control import SandboxListOrder as SandboxListOrder
    from localbox.models_control import SandboxMetrics as SandboxMetrics
    from localbox.models_control import SandboxOnResume as SandboxOnResume
    from localbox.models_control import SandboxQuery as SandboxQuery
    from localbox.models_control import SecretInfo as SecretInfo
    from localbox.models_control import SnapshotInfo as SnapshotInfo
    from localbox.models_network import ALL_TRAFFIC as ALL_TRAFFIC
    from localbox.models_network import GitHubMcpServer as GitHubMcpServer
    from localbox.models_network import GitHubMcpServerConfig as GitHubMcpServerConfig
    from localbox.models_network import McpServer as McpServer
    from localbox.models_network import SandboxEgressProxyOpts as SandboxEgressProxyOpts
    from localbox.models_network import SandboxEgressProxyTLSOpts as SandboxEgressProxyTLSOpts
    from localbox.models_network import SandboxIamOpts as SandboxIamOpts
    from localbox.models_network import SandboxIamToken as SandboxIamToken
    from localbox.models_network import SandboxIamTokenType as SandboxIamTokenType
    from localbox.models_network import SandboxNetworkOpts as SandboxNetworkOpts
    from localbox.models_network import SandboxNetworkRule as SandboxNetworkRule
    from localbox.models_network import SandboxNetworkRules as SandboxNetworkRules
    from localbox.models_network import SandboxNetworkSelector as SandboxNetworkSelector
    from localbox.models_network import (
        SandboxNetworkSelectorContext as SandboxNetworkSelectorContext,
    )
    from localbox.models_network import (
        SandboxNetworkTransformContext as SandboxNetworkTransformContext,
    )
    from localbox.models_network import (
        SandboxNetworkTransformResolver as SandboxNetworkTransformResolver,
    )
    from localbox.models_network import SandboxNetworkUpdate as SandboxNetworkUpdate
    from localbox.policy import load_profile as load_profile
    from localbox.server.run import serve as serve
    from localbox.signature import get_signature as get_signature
    from localbox.templates.base import TemplateBase as TemplateBase
    from localbox.templates.builder import TemplateClass as TemplateClass
    from localbox.templates.dockerfile import DockerfileSyntaxError as DockerfileSyntaxError
    from localbox.templates.logs import LogEntry as LogEntry
    from localbox.templates.logs import LogEntryEnd as LogEntryEnd
    from localbox.templates.logs import LogEntryLevel as LogEntryLevel
    from localbox.templates.logs import LogEntryStart as LogEntryStart
    from localbox.templates.logs import default_build_logger as default_build_logger
    from localbox.templates.model import BuildInfo as BuildInfo
    from localbox.templates.model import BuildStatusReason as BuildStatusReason
    from localbox.templates.model import CopyItem as CopyItem
    from localbox.templates.model import TemplateBuildStatus as TemplateBuildStatus
    from localbox.templates.model import TemplateBuildStatusResponse as TemplateBuildStatusResponse
    from localbox.templates.model import TemplateTag as TemplateTag
    from localbox.templates.model import TemplateTagInfo as TemplateTagInfo
    from localbox.templates.readycmd import ReadyCmd as ReadyCmd
    from localbox.templates.readycmd import wait_for_file as wait_for_file
    from localbox.templates.readycmd import wait_for_port as wait_for_port
    from localbox.templates.readycmd import wait_for_process as wait_for_process
    from localbox.templates.readycmd import wait_for_timeout as wait_for_timeout
    from localbox.templates.readycmd import wait_for_url as wait_for_url
    from localbox.volume_models import VolumeAndToken as VolumeAndToken
    from localbox.volume_models import VolumeEntryStat as VolumeEntryStat
    from localbox.volume_models import VolumeFileType as VolumeFileType
    from localbox.volume_models import VolumeInfo as VolumeInfo

# The imports above, as __getattr__ needs them; tests/unit/test_import_cost.py compares the two.
_HOME = {
    "AsyncCommandHandle": "localbox._async.command_handle",
    "AsyncCommandInputHandle": "localbox._async.input_stream",
    "AsyncSandbox": "localbox._async.sandbox",
    "AsyncSandboxPaginator": "localbox._async.sandbox_paginator",
    "AsyncSecret": "localbox._async.secret",
    "AsyncSecretPaginator": "localbox._async.secret",
    "AsyncSnapshotPaginator": "localbox._async.snapshot_paginator",
    "AsyncTemplate": "localbox._async.template",
    "AsyncVolume": "localbox._async.volume",
    "AsyncWatchHandle": "localbox._async.watch_handle",
    "CommandHandle": "localbox._sync.command_handle",
    "Git": "localbox._sync.git",
    "Sandbox": "localbox._sync.sandbox",
    "SandboxPaginator": "localbox._sync.sandbox_paginator",
    "Secret": "localbox._sync.secret",
    "SecretPaginator": "localbox._sync.secret",
    "SnapshotPaginator": "localbox._sync.snapshot_paginator",
    "Template": "localbox._sync.template",
    "Volume": "localbox._sync.volume",
    "WatchHandle": "localbox._sync.watch_handle",
    "BarChart": "localbox.charts",
    "BarData": "localbox.charts",
    "BoxAndWhiskerChart": "localbox.charts",
    "BoxAndWhiskerData": "localbox.charts",
    "Chart": "localbox.charts",
    "Chart2D": "localbox.charts",
    "ChartType": "localbox.charts",
    "LineChart": "localbox.charts",
    "PieChart": "localbox.charts",
    "PieData": "localbox.charts",
    "PointChart": "localbox.charts",
    "PointData": "localbox.charts",
    "ScaleType": "localbox.charts",
    "ScatterChart": "localbox.charts",
    "SuperChart": "localbox.charts",
    "CodeInterpreter": "localbox.code_interpreter",
    "ConnectionConfig": "localbox.connection_config",
    "E2BClientParams": "localbox.connection_config",
    "HttpVersion": "localbox.connection_config",
    "ProxyTypes": "localbox.connection_config",
    "VolumeApiParams": "localbox.connection_config",
    "VolumeConnectionConfig": "localbox.connection_config",
    "E2B": "localbox.e2b_client",
    "AuthenticationException": "localbox.errors",
    "BuildException": "localbox.errors",
    "CommandExitException": "localbox.errors",
    "FileNotFoundException": "localbox.errors",
    "FileUploadException": "localbox.errors",
    "GitAuthException": "localbox.errors",
    "GitUpstreamException": "localbox.errors",
    "GuestUnresponsiveException": "localbox.errors",
    "InvalidArgumentException": "localbox.errors",
    "NotEnoughSpaceException": "localbox.errors",
    "NotFoundException": "localbox.errors",
    "PolicyError": "localbox.errors",
    "ProtocolError": "localbox.errors",
    "RateLimitException": "localbox.errors",
    "SandboxException": "localbox.errors",
    "SandboxNotFoundException": "localbox.errors",
    "SandboxNotRunningException": "localbox.errors",
    "SandboxUnreachableException": "localbox.errors",
    "SecretException": "localbox.errors",
    "SecretNotFoundException": "localbox.errors",
    "ServiceBusyException": "localbox.errors",
    "TemplateException": "localbox.errors",
    "TimeoutException": "localbox.errors",
    "VolumeException": "localbox.errors",
    "VolumeNotFoundException": "localbox.errors",
    "VolumePathNotFoundException": "localbox.errors",
    "WallError": "localbox.errors",
    "Context": "localbox.execution",
    "Execution": "localbox.execution",
    "ExecutionError": "localbox.execution",
    "Logs": "localbox.execution",
    "MIMEType": "localbox.execution",
    "OutputMessage": "localbox.execution",
    "Result": "localbox.execution",
    "RunCodeLanguage": "localbox.execution",
    "GitBranches": "localbox.git_models",
    "GitFileStatus": "localbox.git_models",
    "GitResetMode": "localbox.git_models",
    "GitStatus": "localbox.git_models",
    "ApiParams": "localbox.models",
    "AsyncWriteData": "localbox.models",
    "CommandResult": "localbox.models",
    "EntryInfo": "localbox.models",
    "FilesystemEvent": "localbox.models",
    "FilesystemEventType": "localbox.models",
    "FileType": "localbox.models",
    "Isolation": "localbox.models",
    "OutputHandler": "localbox.models",
    "ProcessInfo": "localbox.models",
    "PtyOutput": "localbox.models",
    "PtySize": "localbox.models",
    "SandboxEgressProxyInfo": "localbox.models",
    "SandboxEgressProxyTLSInfo": "localbox.models",
    "SandboxInfo": "localbox.models",
    "SandboxInfoLifecycle": "localbox.models",
    "SandboxLifecycle": "localbox.models",
    "SandboxNetworkInfo": "localbox.models",
    "SandboxNetworkRuleInfo": "localbox.models",
    "SandboxNetworkTransform": "localbox.models",
    "SandboxOnTimeout": "localbox.models",
    "SandboxState": "localbox.models",
    "SnapshotMode": "localbox.models",
    "Stderr": "localbox.models",
    "Stdout": "localbox.models",
    "Username": "localbox.models",
    "Wall": "localbox.models",
    "WriteData": "localbox.models",
    "WriteEntry": "localbox.models",
    "WriteInfo": "localbox.models",
    "SandboxListOrder": "localbox.models_control",
    "SandboxMetrics": "localbox.models_control",
    "SandboxOnResume": "localbox.models_control",
    "SandboxQuery": "localbox.models_control",
    "SecretInfo": "localbox.models_control",
    "SnapshotInfo": "localbox.models_control",
    "ALL_TRAFFIC": "localbox.models_network",
    "GitHubMcpServer": "localbox.models_network",
    "GitHubMcpServerConfig": "localbox.models_network",
    "McpServer": "localbox.models_network",
    "SandboxEgressProxyOpts": "localbox.models_network",
    "SandboxEgressProxyTLSOpts": "localbox.models_network",
    "SandboxIamOpts": "localbox.models_network",
    "SandboxIamToken": "localbox.models_network",
    "SandboxIamTokenType": "localbox.models_network",
    "SandboxNetworkOpts": "localbox.models_network",
    "SandboxNetworkRule": "localbox.models_network",
    "SandboxNetworkRules": "localbox.models_network",
    "SandboxNetworkSelector": "localbox.models_network",
    "SandboxNetworkSelectorContext": "localbox.models_network",
    "SandboxNetworkTransformContext": "localbox.models_network",
    "SandboxNetworkTransformResolver": "localbox.models_network",
    "SandboxNetworkUpdate": "localbox.models_network",
    "mock_e2b": "localbox.mocking",
    "load_profile": "localbox.policy",
    "serve": "localbox.server.run",
    "get_signature": "localbox.signature",
    "TemplateBase": "localbox.templates.base",
    "TemplateClass": "localbox.templates.builder",
    "DockerfileSyntaxError": "localbox.templates.dockerfile",
    "LogEntry": "localbox.templates.logs",
    "LogEntryEnd": "localbox.templates.logs",
    "LogEntryLevel": "localbox.templates.logs",
    "LogEntryStart": "localbox.templates.logs",
    "default_build_logger": "localbox.templates.logs",
    "BuildInfo": "localbox.templates.model",
    "BuildStatusReason": "localbox.templates.model",
    "CopyItem": "localbox.templates.model",
    "TemplateBuildStatus": "localbox.templates.model",
    "TemplateBuildStatusResponse": "localbox.templates.model",
    "TemplateTag": "localbox.templates.model",
    "TemplateTagInfo": "localbox.templates.model",
    "ReadyCmd": "localbox.templates.readycmd",
    "wait_for_file": "localbox.templates.readycmd",
    "wait_for_port": "localbox.templates.readycmd",
    "wait_for_process": "localbox.templates.readycmd",
    "wait_for_timeout": "localbox.templates.readycmd",
    "wait_for_url": "localbox.templates.readycmd",
    "VolumeAndToken": "localbox.volume_models",
    "VolumeEntryStat": "localbox.volume_models",
    "VolumeFileType": "localbox.volume_models",
    "VolumeInfo": "localbox.volume_models",
}

__all__ = ["__version__", *_HOME]  # noqa: PLE0604 (the table is the list)


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
