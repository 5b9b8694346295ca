"""The provider's function: `provider::mlplatform::gpu_hours_cost`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tf.function import CallContext, Function, FunctionSignature, Parameter, Return
from tf.types import Number, String

from iaclab.errors import LabError
from iaclab.mlplatform import accelerators
from iaclab.terraform_provider.fields import Price

if TYPE_CHECKING:
    from iaclab.terraform_provider.provider import MlPlatform


class GpuHoursCost(Function):  # type: ignore[misc]
    """What GPUs cost for some hours."""

    def __init__(self, provider: MlPlatform) -> None:
        self.provider = provider

    @classmethod
    def get_name(cls) -> str:
        return "gpu_hours_cost"

    @classmethod
    def get_signature(cls) -> FunctionSignature:
        return FunctionSignature(
            parameters=[
                Parameter("accelerator", String(), "A name from the catalogue."),
                Parameter("gpus", Number(), "How many GPUs."),
                Parameter("hours", Number(), "For how many hours."),
            ],
            return_type=Return(Price()),
            summary="Example cost of GPUs, US dollars",
            description="The catalogue's example price of one GPU for one hour, times GPUs, times hours, rounded to"
            ' cents. `provider::mlplatform::gpu_hours_cost("a100-80gb", 8, 24)`',
        )

    def call(self, ctx: CallContext, arguments: list[Any]) -> float | None:
        name, gpus, hours = arguments
        try:
            return accelerators.gpu_hours_cost(name, float(gpus), float(hours))
        except LabError as error:
            ctx.diagnostics.add_error(f"{error.what} {error.why}")
            return None
