"""The provider itself: its settings, and one connection each to the cluster and to S3 for all resources."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from tf.function import Function
from tf.iface import DataSource, Provider, Resource
from tf.schema import Attribute, Schema
from tf.types import String
from tf.utils import Diagnostics

from iaclab.terraform_provider import SOURCE
from iaclab.terraform_provider.bucket import ModelBucket
from iaclab.terraform_provider.cluster import Cluster
from iaclab.terraform_provider.data_sources import AcceleratorData, AcceleratorsData, ClusterInfoData
from iaclab.terraform_provider.fields import State, known
from iaclab.terraform_provider.functions import GpuHoursCost
from iaclab.terraform_provider.gpu_node_pool import GpuNodePool

if TYPE_CHECKING:
    from iaclab.mlplatform.api import Api


class MlPlatform(Provider):  # type: ignore[misc]
    """Connects on first use: `validate`, the catalogue and the functions work while the platform is down."""

    def __init__(self) -> None:
        self._settings: State = {}
        self._connecting = threading.Lock()  # Terraform works on ten resources at once
        self._api: Api | None = None
        self._s3: Any = None

    def api(self) -> Api:
        """The cluster that the provider's settings or KUBECONFIG name.

        Raises:
            LabError: none is named.
        """
        from iaclab.mlplatform import api

        with self._connecting:
            if self._api is None:
                self._api = api.connect(self._settings.get("kubeconfig"))
            return self._api

    def s3(self) -> Any:
        """A client of the S3 that the provider's settings or AWS_ENDPOINT_URL name.

        Raises:
            LabError: none is named.
        """
        from iaclab.mlplatform import buckets

        with self._connecting:
            if self._s3 is None:
                self._s3 = buckets.connect(self._settings.get("s3_endpoint"))
            return self._s3

    def get_model_prefix(self) -> str:
        return "mlplatform_"

    def full_name(self) -> str:
        return SOURCE

    def get_provider_schema(self, diags: Diagnostics) -> Schema:
        return Schema(
            version=1,
            attributes=[
                Attribute(
                    "kubeconfig",
                    String(),
                    "The kubeconfig file of the cluster. Default: the variable `KUBECONFIG`.",
                    optional=True,
                ),
                Attribute(
                    "s3_endpoint",
                    String(),
                    "URL of the S3 API. Default: the variable `AWS_ENDPOINT_URL`. With neither, nothing is asked.",
                    optional=True,
                ),
            ],
        )

    def validate_config(self, diags: Diagnostics, config: State) -> None:
        url = config.get("s3_endpoint")
        if known(url) and not url.startswith(("http://", "https://")):
            diags.add_error("s3_endpoint is not a URL", f"It is '{url}'.", path=["s3_endpoint"])

    def configure_provider(self, diags: Diagnostics, config: State) -> None:
        self._settings = {name: value for name, value in (config or {}).items() if known(value)}

    def get_data_sources(self) -> list[type[DataSource]]:
        return [AcceleratorData, AcceleratorsData, ClusterInfoData]

    def get_resources(self) -> list[type[Resource]]:
        return [Cluster, GpuNodePool, ModelBucket]

    def get_functions(self) -> list[type[Function]]:
        return [GpuHoursCost]
