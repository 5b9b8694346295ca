"""The Python SDK of the provider: `GpuNodePool`, `ModelBucket`, `Cluster` and the accelerator catalogue.

Their arguments are described in docs/provider.md; here blocks are lists of objects, whose keys are Pulumi's names
(`expirationDays`). `name` defaults to the resource's name in the program.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from iaclab.pulumi_platform import NAME, VERSION

Options = pulumi.ResourceOptions | None


def _with_version(opts: Options) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(pulumi.ResourceOptions(version=VERSION), opts)


def snake(name: str) -> str:
    """`gpusPerNode` as `gpus_per_node`."""
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name)


class Provider(pulumi.ProviderResource):
    """An explicit provider: another cluster or another S3 than the environment names."""

    def __init__(
        self,
        resource_name: str,
        *,
        kubeconfig: pulumi.Input[str] | None = None,
        s3_endpoint: pulumi.Input[str] | None = None,
        opts: Options = None,
    ) -> None:
        settings = {"kubeconfig": kubeconfig, "s3Endpoint": s3_endpoint}
        super().__init__(NAME, resource_name, settings, _with_version(opts))


class _Bridged(pulumi.CustomResource):
    """A resource whose outputs have Python's names too."""

    def __init__(self, kind: str, resource_name: str, props: Mapping[str, Any], opts: Options) -> None:
        super().__init__(f"{NAME}:index:{kind}", resource_name, props, _with_version(opts))
        outputs = vars(self)
        outputs.update({snake(key): outputs[key] for key in props})


class GpuNodePool(_Bridged):
    """Equal machines with GPUs, named `<name>-1`, `<name>-2` …"""

    name: pulumi.Output[str] = pulumi.property("name")
    accelerator: pulumi.Output[str] = pulumi.property("accelerator")
    node_count: pulumi.Output[int] = pulumi.property("nodeCount")
    gpus_per_node: pulumi.Output[int] = pulumi.property("gpusPerNode")
    node_names: pulumi.Output[Sequence[str]] = pulumi.property("nodeNames")
    total_gpus: pulumi.Output[int] = pulumi.property("totalGpus")
    hourly_cost: pulumi.Output[float] = pulumi.property("hourlyCost")  # example price, US dollars

    def __init__(
        self,
        resource_name: str,
        *,
        accelerator: pulumi.Input[str],
        node_count: pulumi.Input[int],
        gpus_per_node: pulumi.Input[int] | None = None,
        name: pulumi.Input[str] | None = None,
        zones: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
        labels: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
        gpu_taint: pulumi.Input[bool] | None = None,
        taints: pulumi.Input[Sequence[Any]] | None = None,
        opts: Options = None,
    ) -> None:
        props: dict[str, Any] = {
            "accelerator": accelerator,
            "nodeCount": node_count,
            "gpusPerNode": gpus_per_node,
            "name": name,
            "zones": zones,
            "labels": labels,
            "gpuTaint": gpu_taint,
            "taints": taints,
            "nodeNames": None,
            "totalGpus": None,
            "hourlyCost": None,
        }
        super().__init__("GpuNodePool", resource_name, props, opts)


class ModelBucket(_Bridged):
    """An S3 bucket for models, never public."""

    name: pulumi.Output[str] = pulumi.property("name")
    arn: pulumi.Output[str] = pulumi.property("arn")
    url: pulumi.Output[str] = pulumi.property("url")  # s3://…

    def __init__(
        self,
        resource_name: str,
        *,
        name: pulumi.Input[str] | None = None,
        versioning: pulumi.Input[bool] | None = None,
        encryption: pulumi.Input[str] | None = None,
        tags: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
        force_destroy: pulumi.Input[bool] | None = None,
        lifecycle_rules: pulumi.Input[Sequence[Any]] | None = None,
        opts: Options = None,
    ) -> None:
        props: dict[str, Any] = {
            "name": name,
            "versioning": versioning,
            "encryption": encryption,
            "tags": tags,
            "forceDestroy": force_destroy,
            "lifecycleRules": lifecycle_rules,
            "arn": None,
            "url": None,
        }
        super().__init__("ModelBucket", resource_name, props, opts)


class Cluster(_Bridged):
    """A team's share of the cluster: namespaces with quotas, and an account that may use them."""

    name: pulumi.Output[str] = pulumi.property("name")
    namespaces: pulumi.Output[Sequence[str]] = pulumi.property("namespaces")
    gpu_quota: pulumi.Output[int] = pulumi.property("gpuQuota")
    service_account: pulumi.Output[str] = pulumi.property("serviceAccount")
    api_server: pulumi.Output[str] = pulumi.property("apiServer")
    token: pulumi.Output[str] = pulumi.property("token")  # a secret
    kubeconfig: pulumi.Output[str] = pulumi.property("kubeconfig")  # a secret

    def __init__(
        self,
        resource_name: str,
        *,
        namespaces: pulumi.Input[Sequence[pulumi.Input[str]]],
        name: pulumi.Input[str] | None = None,
        gpu_quota: pulumi.Input[int] | None = None,
        cpu_quota: pulumi.Input[str] | None = None,
        memory_quota: pulumi.Input[str] | None = None,
        labels: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
        opts: Options = None,
    ) -> None:
        props: dict[str, Any] = {
            "namespaces": namespaces,
            "name": name,
            "gpuQuota": gpu_quota,
            "cpuQuota": cpu_quota,
            "memoryQuota": memory_quota,
            "labels": labels,
            "serviceAccount": None,
            "apiServer": None,
            "token": None,
            "kubeconfig": None,
        }
        super().__init__("Cluster", resource_name, props, opts)


def accelerator(name: str) -> dict[str, Any]:
    """One entry of the accelerator catalogue, asked of the provider: product, memoryGb, hourlyPrice, machine."""
    asked = pulumi.runtime.invoke(f"{NAME}:index:getAccelerator", {"name": name}, pulumi.InvokeOptions(version=VERSION))
    answer: dict[str, Any] = asked.value
    return answer
