"""The data sources: the accelerator catalogue and the cluster at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tf.iface import DataSource, ReadDataContext
from tf.schema import Attribute, Schema
from tf.types import List, Map, Number, String
from tf.utils import Diagnostics

from iaclab.errors import LabError
from iaclab.mlplatform import accelerators
from iaclab.terraform_provider.fields import State, decimal, known, nothing, tell, told

if TYPE_CHECKING:
    from iaclab.terraform_provider.provider import MlPlatform

_PRICES = "Prices are rounded public list prices, as examples: the catalogue's file says where they are from."


class AcceleratorData(DataSource):  # type: ignore[misc]
    """`mlplatform_accelerator`: one entry of the catalogue."""

    def __init__(self, provider: MlPlatform) -> None:
        self.provider = provider

    @classmethod
    def get_name(cls) -> str:
        return "accelerator"

    @classmethod
    def get_schema(cls) -> Schema:
        return Schema(
            version=1,
            description=f"One accelerator of the catalogue. {_PRICES} It works while the platform is down.",
            attributes=[
                Attribute("name", String(), "The accelerator's name.", required=True),
                Attribute("product", String(), "The node label `nvidia.com/gpu.product`.", computed=True),
                Attribute("memory_gb", Number(), "Memory of one GPU, GB.", computed=True),
                Attribute("hourly_price", Number(), "One GPU for one hour, US dollars.", computed=True),
                Attribute("machine", String(), "The family of machines that has it.", computed=True),
            ],
        )

    def validate(self, diags: Diagnostics, type_name: str, config: State) -> None:
        super().validate(diags, type_name, config)
        if known(config.get("name")):
            try:
                accelerators.accelerator(config["name"])
            except LabError as error:
                tell(diags, error, ["name"])

    @told(nothing)
    def read(self, ctx: ReadDataContext, config: State) -> State | None:
        kind = accelerators.accelerator(config["name"])
        return {
            "name": kind.name,
            "product": kind.product,
            "memory_gb": kind.memory_gb,
            "hourly_price": decimal(kind.hourly_usd),
            "machine": kind.machine,
        }


class AcceleratorsData(DataSource):  # type: ignore[misc]
    """`mlplatform_accelerators`: the catalogue, or what of it fits."""

    def __init__(self, provider: MlPlatform) -> None:
        self.provider = provider

    @classmethod
    def get_name(cls) -> str:
        return "accelerators"

    @classmethod
    def get_schema(cls) -> Schema:
        return Schema(
            version=1,
            description=f"The accelerator catalogue, cheapest first. {_PRICES} It works while the platform is down.",
            attributes=[
                Attribute("min_memory_gb", Number(), "Only GPUs with this much memory or more, GB.", optional=True),
                Attribute("max_hourly_price", Number(), "Only GPUs that cost this or less, US dollars.", optional=True),
                Attribute("names", List(String()), "The names, cheapest first.", computed=True),
                Attribute("hourly_prices", Map(Number()), "US dollars an hour by name.", computed=True),
                Attribute("memory_gb", Map(Number()), "Memory by name, GB.", computed=True),
                Attribute("products", Map(String()), "Labels `nvidia.com/gpu.product` by name.", computed=True),
            ],
        )

    @told(nothing)
    def read(self, ctx: ReadDataContext, config: State) -> State | None:
        least, most = config.get("min_memory_gb"), config.get("max_hourly_price")
        fitting = [
            kind
            for kind in accelerators.accelerators().values()
            if (least is None or kind.memory_gb >= float(least)) and (most is None or kind.hourly_usd <= float(most))
        ]
        return {
            "min_memory_gb": least,
            "max_hourly_price": most,
            "names": [kind.name for kind in fitting],
            "hourly_prices": {kind.name: decimal(kind.hourly_usd) for kind in fitting},
            "memory_gb": {kind.name: kind.memory_gb for kind in fitting},
            "products": {kind.name: kind.product for kind in fitting},
        }


class ClusterInfoData(DataSource):  # type: ignore[misc]
    """`mlplatform_cluster_info`: the cluster at a glance."""

    def __init__(self, provider: MlPlatform) -> None:
        self.provider = provider

    @classmethod
    def get_name(cls) -> str:
        return "cluster_info"

    @classmethod
    def get_schema(cls) -> Schema:
        return Schema(
            version=1,
            description="The cluster at a glance, as it is when Terraform reads it.",
            attributes=[
                Attribute("version", String(), "Version of the API server.", computed=True),
                Attribute("api_server", String(), "URL of the API server.", computed=True),
                Attribute("node_count", Number(), "Nodes, with and without GPUs.", computed=True),
                Attribute("zones", List(String()), "Zones that have a node.", computed=True),
                Attribute("total_gpus", Number(), "GPUs of all nodes.", computed=True),
                Attribute("requested_gpus", Number(), "GPUs that pods hold.", computed=True),
                Attribute("gpus_by_pool", Map(Number()), "GPUs by the name of the pool.", computed=True),
            ],
        )

    @told(nothing)
    def read(self, ctx: ReadDataContext, config: State) -> State | None:
        from iaclab.mlplatform.overview import overview

        seen = overview(self.provider.api())
        return {
            "version": seen.version,
            "api_server": seen.server,
            "node_count": seen.nodes,
            "zones": list(seen.zones),
            "total_gpus": seen.total_gpus,
            "requested_gpus": seen.requested_gpus,
            "gpus_by_pool": seen.gpus_by_pool,
        }
