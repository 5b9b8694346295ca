"""`mlplatform_model_bucket`: an S3 bucket for models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tf.blocks import SetNestedBlock
from tf.iface import CreateContext, DeleteContext, ImportContext, PlanContext, ReadContext, Resource, UpdateContext
from tf.schema import Attribute, Block, Schema
from tf.types import Bool, Map, Number, String, Unknown
from tf.utils import Diagnostics

from iaclab.errors import LabError
from iaclab.terraform_provider.fields import (
    State,
    check_whole,
    known,
    nothing,
    or_null,
    tell,
    told,
    unchanged,
)

if TYPE_CHECKING:
    from iaclab.mlplatform.buckets import Bucket, Rule
    from iaclab.terraform_provider.provider import MlPlatform

ENCRYPTION = ("AES256", "aws:kms")
_NAME = re.compile(r"(?!xn--)(?!.*\.\.)(?!(\d+\.){3}\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_DAYS = ("expiration_days", "noncurrent_expiration_days")


class ModelBucket(Resource):  # type: ignore[misc]
    """A bucket with versions, encryption, lifecycle rules and tags."""

    def __init__(self, provider: MlPlatform) -> None:
        self.provider = provider

    @classmethod
    def get_name(cls) -> str:
        return "model_bucket"

    @classmethod
    def get_schema(cls) -> Schema:
        return Schema(
            version=1,
            description="An S3 bucket for models, never public.",
            attributes=[
                Attribute("name", String(), "The bucket's name.", required=True, requires_replace=True),
                Attribute(
                    "versioning",
                    Bool(),
                    "Keep every version of an object.",
                    optional=True,
                    computed=True,
                    default=True,
                ),
                Attribute(
                    "encryption",
                    String(),
                    "Encryption of new objects, one of " + ", ".join(f"`{e}`" for e in ENCRYPTION) + ".",
                    optional=True,
                    computed=True,
                    default=ENCRYPTION[0],
                ),
                Attribute("tags", Map(String()), "Tags of the bucket.", optional=True),
                Attribute(
                    "force_destroy",
                    Bool(),
                    "Destroy the bucket also while it holds objects, with all their versions.",
                    optional=True,
                    computed=True,
                    default=False,
                ),
                Attribute("id", String(), "The bucket's name.", computed=True),
                Attribute("arn", String(), "The bucket's ARN, for policies.", computed=True),
                Attribute("url", String(), "The bucket's URL, `s3://…`.", computed=True),
            ],
            block_types=[
                SetNestedBlock(
                    "lifecycle_rule",
                    Block(
                        [
                            Attribute("id", String(), "The rule's name, unique in the bucket.", required=True),
                            Attribute("prefix", String(), "Keys it holds for. Default: all.", optional=True),
                            Attribute(
                                "expiration_days",
                                Number(),
                                "Expire objects so many days after upload.",
                                optional=True,
                            ),
                            Attribute(
                                "noncurrent_expiration_days",
                                Number(),
                                "Delete versions this many days after they were replaced.",
                                optional=True,
                            ),
                        ]
                    ),
                )
            ],
        )

    def validate(self, diags: Diagnostics, type_name: str, config: State) -> None:
        super().validate(diags, type_name, config)
        name, encryption = config.get("name"), config.get("encryption")
        if known(name) and not _NAME.fullmatch(name):
            diags.add_error(
                f"'{name}' is not the name of a bucket",
                "A name has 3 to 63 lower-case letters, digits, dashes and dots, and begins and ends with a letter or"
                " a digit.",
                path=["name"],
            )
        if known(encryption) and encryption not in ENCRYPTION:
            diags.add_error(
                f"There is no encryption '{encryption}'", f"There are {', '.join(ENCRYPTION)}.", path=["encryption"]
            )
        for key in config["tags"] if known(config.get("tags")) else {}:
            if key.startswith(("aws:", "mlplatform:")):
                diags.add_error(f"The tag {key} is reserved", "Choose another prefix.", path=["tags", (key,)])
        rules = config["lifecycle_rule"] if known(config.get("lifecycle_rule")) else []
        _check_rules(diags, [rule for rule in rules if known(rule)])

    def plan(self, ctx: PlanContext, current: State | None, planned: State) -> State:
        name = planned["name"]
        return planned | (_named(name) if known(name) else dict.fromkeys(_named(""), Unknown))

    @told(nothing)
    def create(self, ctx: CreateContext, planned: State) -> State | None:
        from iaclab.mlplatform import buckets

        s3, bucket = self.provider.s3(), _bucket(planned)
        buckets.refuse_foreign(s3, bucket.name)
        state = {**planned, **_named(bucket.name)}
        if buckets.get(s3, bucket.name):
            ctx.diagnostics.add_warning(
                f"The bucket {bucket.name} existed already",
                "It was made by this provider, as by an apply that was interrupted; it was taken over.",
            )
        try:
            buckets.put(s3, bucket)
        except LabError as error:
            tell(ctx.diagnostics, error)
            return state if buckets.get(s3, bucket.name) else None
        return state

    @told(unchanged)
    def read(self, ctx: ReadContext, current: State) -> State | None:
        return self._there(current["name"], current)

    @told(nothing)
    def update(self, ctx: UpdateContext, current: State, planned: State) -> State | None:
        from iaclab.mlplatform import buckets

        buckets.put(self.provider.s3(), _bucket(planned))
        return {**planned, **_named(planned["name"])}

    @told(unchanged)
    def delete(self, ctx: DeleteContext, current: State) -> State | None:
        from iaclab.mlplatform import buckets

        buckets.delete(self.provider.s3(), current["name"], force=bool(current["force_destroy"]))
        return None

    @told(nothing)
    def import_(self, ctx: ImportContext, id: str) -> State | None:
        state = self._there(id, None)
        if state is None:
            raise LabError(f"There is no bucket '{id}'.", mend="aws s3 ls")
        return state

    def upgrade(self, ctx: Any, version: int, old: State) -> State:
        return old

    def _there(self, name: str, current: State | None) -> State | None:
        from iaclab.mlplatform import buckets

        bucket = buckets.get(self.provider.s3(), name)
        if bucket is None:
            return None
        before = current or {}
        same_rules = current is not None and bucket.rules == _bucket(current).rules
        return {
            "name": name,
            "versioning": bucket.versioning,
            "encryption": bucket.encryption,
            "tags": or_null(bucket.tags, before.get("tags")),
            "force_destroy": before.get("force_destroy") or False,
            "lifecycle_rule": before["lifecycle_rule"] if same_rules else _blocks(bucket.rules),
            **_named(name),
        }


def _check_rules(diags: Diagnostics, rules: list[State]) -> None:
    ids = [rule["id"] for rule in rules if known(rule.get("id"))]
    for double in sorted({i for i in ids if ids.count(i) > 1}):
        diags.add_error(f"Two lifecycle rules are called '{double}'", "Give each an id.", path=["lifecycle_rule"])
    for rule in rules:
        for field in _DAYS:
            whole = Diagnostics()
            check_whole(whole, rule, field, 1, 100_000)
            for problem in whole.diagnostics:
                diags.add_error(f"lifecycle_rule.{problem.summary}", problem.detail, path=["lifecycle_rule"])
        if all(rule.get(field) is None for field in _DAYS):
            diags.add_error(
                f"The lifecycle rule '{rule.get('id')}' does nothing", f"Set {' or '.join(_DAYS)}.", ["lifecycle_rule"]
            )


def _named(name: str) -> State:
    """What follows from the name alone, and is known before apply."""
    return {"id": name, "arn": f"arn:aws:s3:::{name}", "url": f"s3://{name}"}


def _bucket(state: State) -> Bucket:
    from iaclab.mlplatform.buckets import Bucket, Rule

    def days(rule: State, field: str) -> int | None:
        return None if rule[field] is None else int(rule[field])

    rules = {Rule(r["id"], r["prefix"] or "", *(days(r, field) for field in _DAYS)) for r in state["lifecycle_rule"]}
    return Bucket(
        name=state["name"],
        versioning=state["versioning"],
        encryption=state["encryption"],
        tags=state["tags"] or {},
        rules=frozenset(rules),
    )


def _blocks(rules: frozenset[Rule]) -> list[State]:
    return [
        {"id": r.id, "prefix": r.prefix or None, **{field: getattr(r, field) for field in _DAYS}}
        for r in sorted(rules, key=lambda r: r.id)
    ]
