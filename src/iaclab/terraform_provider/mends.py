"""What `tf` 1.2.0 gets wrong, mended in this one place. `pyproject.toml` pins that version; tests cover each mend.

1. Terraform sends an unknown value with what it knows of it (a *refined* unknown, e.g. the result of `jsonencode` of
   an unknown) as a MessagePack extension with a payload. `tf` knows the bare form only and fails to decode the rest.
2. An optional attribute with a default keeps its old value when it is removed from the configuration: Terraform
   proposes the prior value for a computed attribute, and `tf` puts defaults into plans of new resources only.
3. `plan()` of a resource is called for changes only. Here it is called for new resources too, so that what follows
   from the configuration (names, costs) is known before apply.
"""

from __future__ import annotations

from typing import Any

import tf.provider
import tf.utils
from tf.gen import tfplugin_pb2 as pb
from tf.iface import PlanContext
from tf.types import Unknown
from tf.utils import Diagnostics, read_dynamic_value, to_dynamic_value

_plan_resource_change = tf.provider.ProviderServicer.PlanResourceChange


def apply() -> None:
    """Put the mends into `tf`; to be called before `run_provider`."""
    tf.utils._msgpack_ext_hook = lambda code, data: Unknown
    tf.provider.ProviderServicer.PlanResourceChange = _plan


def _plan(servicer: Any, request: Any, context: Any) -> Any:
    attributes = servicer._get_res_attrs(request.type_name)
    config, proposed = read_dynamic_value(request.config), read_dynamic_value(request.proposed_new_state)
    if config and proposed:
        for name, attribute in attributes.items():
            if attribute.default is not Unknown and config.get(name) is None:
                proposed[name] = attribute.type.encode(attribute.default)
        request.proposed_new_state.CopyFrom(to_dynamic_value(proposed))
    response = _plan_resource_change(servicer, request, context)
    is_new = read_dynamic_value(request.prior_state) is None
    if is_new and not any(d.severity == pb.Diagnostic.ERROR for d in response.diagnostics):
        _plan_new(servicer, request.type_name, response)
    return response


def _plan_new(servicer: Any, type_name: str, response: Any) -> None:
    attributes, blocks = servicer._get_res_attrs(type_name), servicer._get_res_blocks(type_name)
    diagnostics = Diagnostics()
    encoded, planned = tf.provider._decode_state(diagnostics, attributes, blocks, response.planned_state)
    resource = servicer.app.new_resource(servicer._get_res_cls(type_name))
    planned = resource.plan(PlanContext(diagnostics, type_name, changed_fields=set()), None, planned)
    response.planned_state.CopyFrom(tf.provider._encode_state(attributes, blocks, planned, encoded))
    response.diagnostics.extend(diagnostics.to_pb())
